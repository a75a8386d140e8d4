package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// The keys are a fixed interface; keys may be added.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{cmp: "requests_per_second: 500\n  requests_per_month: 12345"})
	s.run("resync").wantCode(t, 0)
	r := s.run("status", "--json").wantCode(t, 0)
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatalf("%v in %s", err, r)
	}
	needKeys(t, "status", doc, "mirror", "targets", "quota", "observations", "inbox")
	needKeys(t, "mirror", object(t, doc["mirror"]), "assets", "folders")
	needKeys(t, "quota", object(t, doc["quota"]), "limit", "used", "by_class", "resets_at")
	needKeys(t, "inbox", object(t, doc["inbox"]), "pending")
	observations := object(t, doc["observations"])
	needKeys(t, "observations", observations, "incremental", "audit", "sweep")
	needKeys(t, "incremental", object(t, observations["incremental"]), "last_attempt", "last_success")
	var targets []map[string]json.RawMessage
	if err := json.Unmarshal(doc["targets"], &targets); err != nil || len(targets) != 1 {
		t.Fatalf("targets: %s %v", doc["targets"], err)
	}
	needKeys(t, "target", targets[0], "name", "desired", "in_sync", "pending", "failed", "held", "conflicts")

	st := s.status()
	wanted := len(s.sim.wanted())
	if st.Mirror.Assets != 60 || st.Mirror.Folders != 17 {
		t.Errorf("mirror %+v", st.Mirror)
	}
	if got := st.Targets[0]; got.Name != "brand" || got.Desired != wanted || got.InSync != wanted || got.Pending+got.Failed+got.Held+got.Conflicts != 0 {
		t.Errorf("target %+v, want %d", got, wanted)
	}
	var state struct {
		Counters struct{ Total int }
	}
	s.sim.call("GET", "/state", nil, &state)
	sum := 0
	for _, n := range st.Quota.ByClass {
		sum += n
	}
	// A request is counted before it is sent; the end of a command may forfeit a few.
	forfeited := st.Quota.Used - state.Counters.Total
	if st.Quota.Limit != 12345 || forfeited < 0 || forfeited > 8 || sum != st.Quota.Used {
		t.Errorf("quota %+v, the library counted %d", st.Quota, state.Counters.Total)
	}
	if st.Quota.ResetsAt.Day() != 1 || st.Observations["sweep"].LastSuccess == nil || st.Observations["audit"].LastSuccess != nil {
		t.Errorf("resets at %s, observations %v", st.Quota.ResetsAt, st.Observations)
	}
	s.run("status").wantCode(t, 0).wantText(t, "60 assets", "12345", "brand")
}

func object(t *testing.T, text json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	var out map[string]json.RawMessage
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

func needKeys(t *testing.T, what string, have map[string]json.RawMessage, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := have[key]; !ok {
			t.Errorf("%s has no key %s", what, key)
		}
	}
}

// A removal wave over the limit is held as a whole, shown, and carried out once approved.
func TestRemovalWaveWaitsForApproval(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{target: defaultTarget + "    removal_limit: {count: 3, percent: 90}\n"})
	s.run("resync").wantCode(t, 0)
	before := snapshot(t, s.root)
	ids := sortedIDs(s.sim.wanted())[:4]
	s.sim.edit("bulk_delete", M{"ids": ids})
	s.run("resync").wantCode(t, 5).wantText(t, "4 removals are held", "damsync approve --target")
	if after := snapshot(t, s.root); len(after) != len(before) {
		t.Errorf("%d files, had %d: a part of the wave went through", len(after), len(before))
	}
	if st := s.status(); st.Targets[0].Held != 4 {
		t.Errorf("status %+v", st.Targets[0])
	}
	s.run("status").wantText(t, "4 removals are held; to approve them, run damsync approve --target brand")
	s.run("plan").wantText(t, "(held for approval)", ids[0])
	s.run("approve", "--target", "other").wantCode(t, 2)
	s.run("approve", "--target", "brand").wantCode(t, 0).wantText(t, "4 removals approved", ids[0], ids[3])
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
	archived := 0
	for path := range snapshot(t, s.root+"/.archive") {
		for _, id := range ids {
			if strings.Contains(path, id) && strings.HasSuffix(path, ".damsync.json") {
				archived++
			}
		}
	}
	if archived != 4 {
		t.Errorf("%d of 4 removed assets are in the archive", archived)
	}
	s.run("approve", "--target", "brand").wantCode(t, 0).wantText(t, "0 removals approved")
}

func sortedIDs(assets map[string]truth) []string {
	var ids []string
	for id := range assets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
