package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/sync/audit"
	"damsync/sync/observe"
	"damsync/sync/source"
)

// idleWorld returns a quiet world without webhooks: its replica only looks up and pushes.
func idleWorld(t *testing.T, assets int) (*world, *replica) {
	w, r := quietWorld(t, worldOptions{sim: cmpsim.Options{Assets: assets}, schedule: &Schedule{}})
	w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 1})
	return w, r
}

func (r *replica) audit(t *testing.T) (observe.AuditResult, error) {
	t.Helper()
	return r.engine.auditor.Audit(t.Context(), observe.AuditOptions{Class: grant.Manual, RequestedBy: "test"})
}

// removed waits for all lookups and returns the assets that the mirror marks removed.
func (w *world) removed() []string {
	w.Helper()
	w.eventually("lookups", 60*time.Second, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.lookup WHERE requested > done`); n > 0 {
			return fmt.Errorf("%d are left", n)
		}
		return nil
	})
	return query[[]string](w, `SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM damsync.asset WHERE removed_at IS NOT NULL`)
}

// A deletion without a webhook shows in the counts of two polls. An audit finds the asset, its 404 confirms the deletion,
// and the target removes it.
func TestUnannouncedDeletionIsFoundByCounting(t *testing.T) {
	w := newWorld(t, t, worldOptions{sim: cmpsim.Options{Assets: 700}})
	t.Cleanup(w.close)
	w.start()
	w.converge()
	w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 1})
	gone := anyOf(w.wanted("brand"))
	if err := w.sim.BulkDelete([]string{gone}); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if got := w.removed(); !slices.Equal(got, []string{gone}) {
		t.Errorf("removed %v, want %s", got, gone)
	}
	if by := query[string](w, `SELECT observation FROM report.changes WHERE entity_id = $1 AND field = 'removed'`, gone); by != "audit" {
		t.Errorf("found by %s, want the audit", by)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.run WHERE kind = 'sweep'`); n != 1 {
		t.Errorf("%d sweeps, want only the first", n)
	}
	var requests, missing, suspects int
	err := w.pool.QueryRow(t.Context(), `SELECT requests, missing, suspects FROM report.audits WHERE complete_at IS NOT NULL AND missing > 0`).Scan(&requests, &missing, &suspects)
	if err != nil || missing != 1 || suspects != 1 || requests > 12 {
		t.Errorf("the audit cost %d requests for %d missing assets and %d suspects (%v)", requests, missing, suspects, err)
	}
}

// A deletion and an addition cancel in every count. The turns of the windows read every asset and find them.
func TestCancelledPairIsFoundByTurns(t *testing.T) {
	w, r := idleWorld(t, 700)
	old := query[[]string](w, `SELECT array_agg(id) FROM (SELECT id FROM damsync.asset ORDER BY modified_at LIMIT 2) AS a`)
	gone, added := old[0], old[1]
	if err := w.sim.BulkDelete([]string{gone}); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE damsync.asset SET removed_at = clock_timestamp(), hash = '' WHERE id = $1`, added)
	if result, err := r.audit(t); err != nil || result.Requests != 1 {
		t.Fatalf("%d requests, %v: the counts do not cancel", result.Requests, err)
	}
	for range 6 { // days: some seconds hold several pages
		w.allTurnsDue()
		if err := r.engine.auditor.AuditWindows(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.removed(); !slices.Equal(got, []string{gone}) {
		t.Errorf("removed %v, want %s", got, gone)
	}
	if !query[bool](w, `SELECT read_since IS NOT NULL AND counted_since >= read_since AND windows > 3 FROM report.completeness`) {
		t.Errorf("the report does not say since when every asset was read: %s", query[string](w, `SELECT string_agg(w::text, E'\n') FROM damsync.audit_window AS w`))
	}
	w.converge()
}

// An asset that the list does not show and that its own address returns is not removed.
func TestFalseSuspectsAreNotRemoved(t *testing.T) {
	w, r := idleWorld(t, 330)
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultHalfPage, Path: "/v3/assets", Skip: 3}); err != nil {
		t.Fatal(err)
	}
	gone := anyOf(w.wanted("brand"))
	if err := w.sim.BulkDelete([]string{gone}); err != nil {
		t.Fatal(err)
	}
	result, err := r.audit(t)
	if err != nil || result.Suspects < 20 {
		t.Errorf("%+v, %v, want at least 20 suspects because half of each page is missing", result, err)
	}
	if got := w.removed(); !slices.Equal(got, []string{gone}) {
		t.Errorf("removed %v, want %s alone", got, gone)
	}
}

// A library that cannot be audited is swept by the fallback schedule; one that can is not.
func TestUncountableLibraryIsSwept(t *testing.T) {
	w, r := idleWorld(t, 330)
	r.stop()
	next := w.replica()
	if err := next.engine.CheckRules(t.Context()); err != nil {
		t.Fatal(err)
	}
	always, err := cron.ParseStandard("@every 1s")
	if err != nil {
		t.Fatal(err)
	}
	next.engine.sweeper.Fallback = always
	w.exec(`UPDATE damsync.observation SET last_success = last_success - interval '1 hour' WHERE kind = 'sweep'`)
	swept := func() int {
		return query[int](w, `SELECT count(*) FROM damsync.run WHERE kind = 'sweep' AND state = 'done'`)
	}
	before := swept()
	step := next.engine.sweeper.Step(nil)
	if _, err := step(t.Context()); err != nil || swept() != before {
		t.Fatalf("a library that can be audited is swept: %v", err)
	}
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultTotalMissing, Path: "/v3/assets"}); err != nil {
		t.Fatal(err)
	}
	if _, err := next.audit(t); !errors.Is(err, audit.ErrUncountable) {
		t.Fatal(err)
	}
	if _, err := step(t.Context()); err != nil || swept() != before+1 {
		t.Errorf("%d sweeps, want one more than %d: %v", swept(), before, err)
	}
}

// An audit infers nothing from wrong counts.
func TestNothingIsInferredFromWrongCounts(t *testing.T) {
	for _, f := range []cmpsim.Fault{
		{Kind: cmpsim.FaultTotalMissing},
		{Kind: cmpsim.FaultTotalLie, Value: 7},
		{Kind: cmpsim.FaultTotalLie, Value: 1_000_000},
		{Kind: cmpsim.FaultTotalCap, Value: 50},
		{Kind: cmpsim.FaultNoCreated},
		{Kind: cmpsim.FaultEmptyList},
	} {
		t.Run(fmt.Sprint(f.Kind, f.Value), func(t *testing.T) {
			t.Parallel()
			w, r := idleWorld(t, 330)
			f.Path = "/v3/assets"
			if _, err := w.sim.AddFault(f); err != nil {
				t.Fatal(err)
			}
			if err := w.sim.BulkDelete([]string{anyOf(w.wanted("brand"))}); err != nil {
				t.Fatal(err)
			}
			result, err := r.audit(t)
			if !errors.Is(err, audit.ErrUncountable) || !result.CompleteAt.IsZero() || !r.engine.auditor.Uncountable() {
				t.Errorf("%+v, %v", result, err)
			}
			if result.Requests > 30 {
				t.Errorf("%d requests to find that out", result.Requests)
			}
			if n := query[int](w, `SELECT count(*) FROM damsync.lookup WHERE gone`); n > 0 {
				t.Errorf("%d assets are looked up", n)
			}
			w.recoverAndConverge()
		})
	}
}

// An audit that the quota defers midway keeps its suspects; the next audit starts again.
func TestDeferredAuditKeepsWhatItFound(t *testing.T) {
	w, r := idleWorld(t, 700)
	var gone []string
	for id := range w.wanted("brand") {
		gone = append(gone, id)
	}
	if err := w.sim.BulkDelete(slices.Clone(gone)); err != nil {
		t.Fatal(err)
	}
	left := &refusing{Library: r.engine.source.Library, left: 12}
	r.engine.source.Library = left
	result, err := r.audit(t)
	var deferred *grant.Deferred
	if !errors.As(err, &deferred) || result.Suspects == 0 || !result.CompleteAt.IsZero() {
		t.Fatalf("%+v, %v", result, err)
	}
	left.left = 1 << 30
	if _, err := r.audit(t); err != nil {
		t.Fatal(err)
	}
	slices.Sort(gone)
	if got := w.removed(); !slices.Equal(got, gone) {
		t.Errorf("%d removed, want %d", len(got), len(gone))
	}
}

// Turns that the quota cuts short each time still reach every window.
func TestTurnsContinueWithAScarceQuota(t *testing.T) {
	w, r := idleWorld(t, 700)
	left := &refusing{Library: r.engine.source.Library}
	r.engine.source.Library = left
	counted := func() (n, all int) {
		err := w.pool.QueryRow(t.Context(), `SELECT count(counted_at), count(*) FROM damsync.audit_window`).Scan(&n, &all)
		if err != nil {
			t.Fatal(err)
		}
		return n, all
	}
	for before, tries := -1, 0; ; tries++ {
		w.allTurnsDue()
		left.left = 4 // calibrating the bounds takes two
		err := r.engine.auditor.AuditWindows(t.Context())
		n, all := counted()
		if n == all {
			if tries < 2 {
				t.Fatalf("%d windows are too few to be counted in parts", all)
			}
			return
		}
		var deferred *grant.Deferred
		if !errors.As(err, &deferred) || n <= before {
			t.Fatalf("%d of %d windows are counted, before %d: %v", n, all, before, err)
		}
		before = n
	}
}

// allTurnsDue makes every window due to be counted.
func (w *world) allTurnsDue() {
	w.Helper()
	w.exec(`INSERT INTO damsync.observation (kind, last_success) VALUES ('audit_windows', clock_timestamp() - interval '1 day')
		ON CONFLICT (kind) DO UPDATE SET last_success = excluded.last_success`)
}

// refusing is a library that defers requests after a number of them.
type refusing struct {
	source.Library
	left int
}

func (l *refusing) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if l.left--; l.left < 0 {
		return cmp.AssetPage{}, &grant.Deferred{Until: time.Now().Add(time.Hour), Reason: "test"}
	}
	return l.Library.Assets(ctx, q)
}
