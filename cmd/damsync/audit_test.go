package main

import (
	"encoding/json"
	"testing"
)

// damsync audit reports whether the mirror is complete. Work that waits for other reasons neither delays it
// nor changes its exit code.
func TestAuditByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{
		schedule: `{incremental: "", sweep: "", audit: ""}`, target: defaultTarget + "    removal_limit: {count: 3, percent: 90}\n",
	})
	s.run("audit").wantCode(t, 1).wantText(t, "never read in full")
	s.run("resync").wantCode(t, 0)
	s.run("audit").wantCode(t, 0).wantText(t, "1 requests", "complete as of")

	gone := s.anyWanted()
	s.sim.edit("delete_asset", M{"id": gone})
	r := s.run("audit", "--json").wantCode(t, 0)
	var report auditReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.Missing != 1 || report.Suspects != 1 || report.CompleteAt == nil {
		t.Errorf("one asset is gone: %+v, %v\n%s", report, err, r)
	}
	if err := s.differs(); err != nil {
		t.Error(err)
	}

	s.sim.edit("bulk_delete", M{"ids": sortedIDs(s.sim.wanted())[:8]})
	s.run("audit").wantCode(t, 5).wantText(t, "damsync approve")
	s.run("audit").wantCode(t, 0).wantText(t, "1 requests, 1 windows counted: 0 assets missing", "complete as of")

	s.sim.fault(M{"path": "/v3/assets", "kind": "total_missing"})
	s.run("audit").wantCode(t, 1).wantText(t, "no total_count", "nothing is inferred", "damsync resync")
}
