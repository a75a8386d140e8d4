package store

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// placedStore has the assets a, b and c in place at "brand", and a run of verify.
func placedStore(t *testing.T) (*Store, state.Run) {
	t.Helper()
	s := New(pgtest.Pool(t), "one")
	apply(t, s, second(0), everything("brand"), summary("a"), summary("b"), summary("c"))
	work, err := s.ClaimPlacements(t.Context(), "brand", 10, time.Minute)
	if err != nil || len(work) != 3 {
		t.Fatalf("claimed %d, %v", len(work), err)
	}
	for _, w := range work {
		must(t, s.FinishPlacement(t.Context(), w, done(w)))
	}
	run, err := s.StartRun(t.Context(), "verify", "test", time.Minute, 0)
	must(t, err)
	return s, run
}

func driftOf(t *testing.T, s *Store, kind state.DriftKind, id string) state.Drift {
	t.Helper()
	placed, err := s.Placed(t.Context(), "brand", []string{id})
	must(t, err)
	return state.Drift{Kind: kind, AssetID: id, Path: "/" + id, Of: placed[id]}
}

// A placement that the list did not name is missing, unless it is dirty or should not be there.
func TestUnlisted(t *testing.T) {
	s, run := placedStore(t)
	must(t, s.NoteListed(t.Context(), run, "brand", []string{"b", "b"}))
	must(t, s.NoteListed(t.Context(), run, "brand", []string{"b"}))
	ids, err := s.Unlisted(t.Context(), run, "brand", "", 10)
	if err != nil || !slices.Equal(ids, []string{"a", "c"}) {
		t.Errorf("unlisted %q, %v", ids, err)
	}
	if ids, err := s.Unlisted(t.Context(), run, "brand", "a", 10); err != nil || !slices.Equal(ids, []string{"c"}) {
		t.Errorf("unlisted after a %q, %v", ids, err)
	}
	apply(t, s, second(1), everything("brand"), summary("a", titled("New"), modified(second(0))))
	if ids, err := s.Unlisted(t.Context(), run, "brand", "", 10); err != nil || !slices.Equal(ids, []string{"c"}) {
		t.Errorf("unlisted while a is dirty %q, %v", ids, err)
	}
}

// The drift of a target is that of its last finished verification.
func TestDriftIsReplacedWhole(t *testing.T) {
	s, run := placedStore(t)
	pool := s.pool
	end := func(run state.Run, missing, changed int64) {
		t.Helper()
		must(t, s.EndVerification(t.Context(), state.Verification{
			Target: "brand", Depth: "token", RunID: run.ID, StartedAt: run.StartedAt,
			Counts: state.DriftCounts{state.DriftMissing: missing, state.DriftChanged: changed},
		}))
	}
	shown := func() string {
		t.Helper()
		return query[string](t, pool, `SELECT coalesce(string_agg(concat_ws(' ', target, kind, asset_id, path, title, differs), ', ' ORDER BY asset_id), '') FROM report.drift`)
	}
	a := driftOf(t, s, state.DriftMissing, "a")
	a.Differs = "not there"
	must(t, s.AddDrift(t.Context(), run, "brand", []state.Drift{a}))
	if got := shown(); got != "" {
		t.Errorf("before the end it shows %q", got)
	}
	end(run, 1, 0)
	if got := shown(); got != "brand missing a /a Title of a not there" {
		t.Errorf("shown %q", got)
	}
	_, err := s.FinishRun(t.Context(), run, "")
	must(t, err)
	next, err := s.StartRun(t.Context(), "verify", "test", time.Minute, 0)
	must(t, err)
	b := driftOf(t, s, state.DriftChanged, "b")
	must(t, s.AddDrift(t.Context(), next, "brand", []state.Drift{b}))
	if got := shown(); got != "brand missing a /a Title of a not there" {
		t.Errorf("during the next run it shows %q", got)
	}
	end(next, 0, 1)
	if got := shown(); got != "brand changed b /b Title of b " && got != "brand changed b /b Title of b" {
		t.Errorf("in the end it shows %q", got)
	}
	all, err := s.Verifications(t.Context())
	if err != nil || len(all) != 1 || all[0].RunID != next.ID || all[0].Counts.Total() != 1 {
		t.Errorf("verifications %+v, %v", all, err)
	}
}

// A repair makes placements dirty with a generation above all that were found. The work looks at the target first or,
// where that would show nothing, takes the object for incomplete. What has become work is removed from the drift.
func TestRepairMakesWork(t *testing.T) {
	s, run := placedStore(t)
	a, b := driftOf(t, s, state.DriftMissing, "a"), driftOf(t, s, state.DriftChanged, "b")
	b.Unseen, b.Found = true, state.Object{Path: "/elsewhere", Ref: "ref there", Generation: 5000}
	must(t, s.AddDrift(t.Context(), run, "brand", []state.Drift{a, b}))
	must(t, s.EndVerification(t.Context(), state.Verification{
		Target: "brand", Depth: "token", RunID: run.ID, StartedAt: run.StartedAt,
		Counts: state.DriftCounts{state.DriftMissing: 1, state.DriftChanged: 1},
	}))
	if n, err := s.Repair(t.Context(), run, "brand", []state.Drift{a, b}); err != nil || n != 2 {
		t.Fatalf("repaired %d, %v", n, err)
	}
	if n, err := s.Repair(t.Context(), run, "brand", []state.Drift{a, b}); err != nil || n != 0 {
		t.Errorf("what is dirty was repaired again: %d, %v", n, err)
	}
	all, err := s.Verifications(t.Context())
	if err != nil || all[0].Counts.Total() != 0 || query[int](t, s.pool, `SELECT count(*) FROM report.drift`) != 0 {
		t.Errorf("drift is left: %+v, %v", all, err)
	}
	work, err := s.ClaimPlacements(t.Context(), "brand", 10, time.Minute)
	must(t, err)
	got := map[string][]any{}
	for _, w := range work {
		got[w.AssetID] = []any{w.Generation > 5000, w.IntentWasOpen, w.Applied.State, w.Applied.Path, w.Applied.Ref}
	}
	want := map[string][]any{
		"a": {true, true, "present", "/a", "ref-a"},
		"b": {true, false, "incomplete", "/elsewhere", "ref there"},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("work (-want +got):\n%s", diff)
	}
}

// The removal of an orphan waits for the removal guard. An asset that the rules want, that is still to be read, or on
// which a rule fails is not removed.
func TestRetireOrphans(t *testing.T) {
	s, run := placedStore(t)
	want1(t, s, "asked")
	_, err := s.pool.Exec(t.Context(), `INSERT INTO damsync.decision_failure (target, asset_id, reason) VALUES ('brand', 'fails', 'a rule')`)
	must(t, err)
	var found []state.Drift
	for _, id := range []string{"gone", "asked", "fails", "a"} {
		found = append(found, state.Drift{
			Kind: state.DriftOrphaned, AssetID: id, Path: "/" + id,
			Found: state.Object{State: "present", Path: "/" + id, Version: "1", Generation: 7000, SHA256: "00", Size: 3, Ref: "r", Token: "t"},
		})
	}
	retired, wanted, err := s.RetireOrphans(t.Context(), run, "brand", "no rule wants it", found)
	if err != nil || retired != 1 || wanted != 1 {
		t.Fatalf("%d retired, %d wanted, %v", retired, wanted, err)
	}
	if work, err := s.ClaimPlacements(t.Context(), "brand", 10, time.Minute); err != nil || len(work) != 0 {
		t.Errorf("%d removals passed the removal guard, %v", len(work), err)
	}
	release := func(state.Wave) state.GuardAnswer { return state.GuardRelease }
	wave, answer, err := s.EvaluateRemovals(t.Context(), "brand", asking(release))
	if err != nil || answer != state.GuardRelease || wave.Waiting != 1 {
		t.Fatalf("wave %+v, %s, %v", wave, answer, err)
	}
	work, err := s.ClaimPlacements(t.Context(), "brand", 10, time.Minute)
	if err != nil || len(work) != 1 {
		t.Fatalf("%d claimed, %v", len(work), err)
	}
	if w := work[0]; w.AssetID != "gone" || w.Desired.Present || w.Applied.State != "present" || w.Applied.Path != "/gone" || w.Generation <= 7000 {
		t.Errorf("work %+v", w)
	}
}

// A removal that is planned during a repair also waits for the removal guard.
func TestRemovalDuringARepair(t *testing.T) {
	s, run := placedStore(t)
	b := driftOf(t, s, state.DriftChanged, "b")
	b.Unseen = true
	_, err := s.Repair(t.Context(), run, "brand", []state.Drift{b})
	must(t, err)
	apply(t, s, second(1), nothing("brand"), summary("b", modified(second(0))))
	if guard := query[string](t, s.pool, `SELECT guard FROM damsync.placement WHERE asset_id = 'b'`); guard != "waiting" {
		t.Errorf("guard %s", guard)
	}
}

// A token is recorded only for a placement that has not changed.
func TestNoteToken(t *testing.T) {
	s, _ := placedStore(t)
	a := driftOf(t, s, state.DriftChanged, "a").Of
	must(t, s.NoteToken(t.Context(), "brand", a, "new"))
	stale := a
	stale.Generation--
	must(t, s.NoteToken(t.Context(), "brand", stale, "stale"))
	if token := query[string](t, s.pool, `SELECT remote_token FROM damsync.placement WHERE asset_id = 'a'`); token != "new" {
		t.Errorf("token %q", token)
	}
}
