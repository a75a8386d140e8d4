package store

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// The backlog is what a resync waits for.
func TestBacklog(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	insertPlacements(t, pool)
	insertPlacement(t, pool, placement{target: "shop", asset: "other", present: true, desired: 1, guard: "open"})
	insertPlacement(t, pool, placement{target: "brand", asset: "in work again", present: true, desired: 12, guard: "open", errorClass: "conflict", attempts: 3})
	insertPlacement(t, pool, placement{target: "brand", asset: "due again", present: true, desired: 13, guard: "open", errorClass: "conflict", attempts: 3})
	exec(t, pool, `UPDATE damsync.placement SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE error_class <> '' AND asset_id <> 'due again'`)
	exec(t, pool, `UPDATE damsync.placement SET lease_owner = 'b', lease_until = clock_timestamp() + interval '1 minute' WHERE asset_id = 'in work again'`)
	exec(t, pool, `UPDATE damsync.placement SET attempts = 5 WHERE asset_id = 'failed'`)
	exec(t, pool, `INSERT INTO damsync.lookup (asset_id, asset_type, self, class, urgency, observation, attempts, error_class) VALUES
		('new', '', '', 'sweep', 5, 'sweep', 0, ''), ('retried', '', '', 'sweep', 5, 'sweep', 4, 'temporary'), ('failed', '', '', 'sweep', 5, 'sweep', 5, 'temporary'),
		('refused', '', '', 'sweep', 5, 'sweep', 1, 'forbidden'), ('no login', '', '', 'sweep', 5, 'sweep', 9, 'auth')`)
	now, err := s.Now(t.Context())
	must(t, err)
	scope := state.BacklogScope{Targets: []string{"brand"}, Requested: now, Planned: now}
	got, err := s.Backlog(t.Context(), scope)
	want := state.Backlog{Lookups: 3, Urgent: grant.Sweep, LookupsFailed: 2, Placements: 5, Waiting: 1, Held: 1, Failed: 3}
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("backlog (-want +got):\n%s%v", diff, err)
	}
	exec(t, pool, `INSERT INTO damsync.target (name, attempts, paused_until) VALUES ('brand', 5, clock_timestamp() + interval '5 minutes')`)
	want.Placements, want.Failed = 0, 8
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != want {
		t.Errorf("backlog of a target that is down for long %+v, %v", got, err)
	}
	must(t, s.SetTargetProblem(t.Context(), "brand", "the library has no folder /Brand"))
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{Lookups: 3, Urgent: grant.Sweep, LookupsFailed: 2}) {
		t.Errorf("backlog of a target that does not run %+v, %v", got, err)
	}
	scope.Requested, scope.Planned = now.Add(-time.Hour), now.Add(-time.Hour)
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{}) {
		t.Errorf("backlog of an hour ago %+v, %v", got, err)
	}
	exec(t, pool, `INSERT INTO damsync.decision_failure (target, asset_id, reason) VALUES ('brand', 'x', 'not a number'), ('shop', 'x', 'not a number')`)
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{Undecided: 1}) {
		t.Errorf("backlog of a rule that fails on an asset %+v, %v", got, err)
	}
}

// The backlog of one asset leaves out all other assets.
func TestBacklogOfOneAsset(t *testing.T) {
	pool, _, s := planned(t, "x", "y")
	want1(t, s, "x")
	want1(t, s, "y")
	exec(t, pool, `UPDATE damsync.lookup SET error_class = 'forbidden', attempts = 1 WHERE asset_id = 'y'`)
	exec(t, pool, `INSERT INTO damsync.decision_failure (target, asset_id, reason) VALUES ('brand', 'y', 'not a number')`)
	now, err := s.Now(t.Context())
	must(t, err)
	scope := state.BacklogScope{Targets: []string{"brand"}, Requested: now, Planned: now, AssetID: "x"}
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{Lookups: 1, Urgent: grant.Sweep, Placements: 1}) {
		t.Errorf("backlog of x %+v, %v", got, err)
	}
	scope.AssetID = "y"
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{LookupsFailed: 1, Placements: 1, Undecided: 1}) {
		t.Errorf("backlog of y %+v, %v", got, err)
	}
}

// A removal that waits for a suspect which cannot be read counts as failed.
func TestBacklogBehindAFailedSuspect(t *testing.T) {
	pool, _, s := removing(t, 5, 1)
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "000"}}))
	now, err := s.Now(t.Context())
	must(t, err)
	scope := state.BacklogScope{Targets: []string{"brand"}, Requested: now, Planned: now}
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{Lookups: 1, Urgent: grant.Sweep, Waiting: 1}) {
		t.Errorf("backlog %+v, %v", got, err)
	}
	exec(t, pool, `UPDATE damsync.lookup SET error_class = 'forbidden', attempts = 1`)
	if got, err := s.Backlog(t.Context(), scope); err != nil || got != (state.Backlog{LookupsFailed: 1, Failed: 1}) {
		t.Errorf("backlog %+v, %v", got, err)
	}
}
