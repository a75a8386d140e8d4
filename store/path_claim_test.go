package store

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/state"
)

func claimPath(t *testing.T, s *Store, w state.Work, path, holder string, leaving bool) {
	t.Helper()
	gotHolder, gotLeaving, err := s.ClaimPath(t.Context(), w, path)
	if err != nil || gotHolder != holder || gotLeaving != leaving {
		t.Errorf("claim of %s for %s: held by %q, leaving %t, %v; want %q, %t", path, w.AssetID, gotHolder, gotLeaving, err, holder, leaving)
	}
}

func pathClaims(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `SELECT concat_ws(' ', target, path, asset_id) FROM damsync.path_claim ORDER BY target, path`)
}

// workOn claims the placement of one asset.
func workOn(t *testing.T, s *Store, id string) (found state.Work) {
	t.Helper()
	for _, w := range claimWork(t, s, "brand", 9) {
		if w.AssetID == id {
			found = w
			continue
		}
		must(t, s.ReturnPlacement(t.Context(), w, 0))
	}
	if found.AssetID == "" {
		t.Fatalf("%s is not to be worked on", id)
	}
	return found
}

// placed puts an asset at its path as the engine does.
func placed(t *testing.T, s *Store, id string) {
	t.Helper()
	w := workOn(t, s, id)
	claimPath(t, s, w, w.Desired.Path, "", false)
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
}

// Of two assets with the same path only one gets it; the other gets it once the first has left.
func TestPathGoesToOne(t *testing.T) {
	pool, _, s := planned(t, "x", "y")
	replan(t, s, "y", "/x")
	placed(t, s, "x")
	y := workOn(t, s, "y")
	claimPath(t, s, y, "/x", "x", false)
	must(t, s.FailPlacement(t.Context(), y, state.Failure{Class: "conflict", Reason: "x is there", After: time.Hour}, true))
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed %+v", got)
	}
	if placementState(t, pool, "y") != "conflict" {
		t.Error("the conflict is not visible")
	}
	replan(t, s, "x", "/elsewhere")
	x := workOn(t, s, "x")
	claimPath(t, s, x, "/elsewhere", "", false)
	claimPath(t, s, x, "/elsewhere", "", false) // idempotent
	must(t, s.FinishPlacement(t.Context(), x, done(x)))
	placed(t, s, "y")
	if diff := gocmp.Diff([]string{"brand /elsewhere x", "brand /x y"}, pathClaims(t, pool)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// When the holder releases the path between the refusal and its record, the waiting asset is due at once.
func TestPathReleasedMeanwhile(t *testing.T) {
	_, _, s := planned(t, "x", "y")
	replan(t, s, "y", "/x")
	placed(t, s, "x")
	y := workOn(t, s, "y")
	claimPath(t, s, y, "/x", "x", false)
	replan(t, s, "x", "/elsewhere")
	placed(t, s, "x")
	must(t, s.FailPlacement(t.Context(), y, state.Failure{Class: "conflict", Reason: "x is there", After: time.Hour}, true))
	placed(t, s, "y")
	// A conflict at the target itself waits for its back-off.
	replan(t, s, "y", "/foreign")
	y = workOn(t, s, "y")
	claimPath(t, s, y, "/foreign", "", false)
	must(t, s.FailPlacement(t.Context(), y, state.Failure{Class: "conflict", Reason: "not ours", After: time.Hour}, true))
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed %+v", got)
	}
}

// Of two assets that need each other's path one moves aside, and both arrive.
func TestSwappedPaths(t *testing.T) {
	pool, clock, s := planned(t, "x", "y")
	placed(t, s, "x")
	placed(t, s, "y")
	replan(t, s, "x", "/y")
	replan(t, s, "y", "/x")
	x := workOn(t, s, "x")
	claimPath(t, s, x, "/y", "y", true)
	must(t, s.FailPlacement(t.Context(), x, state.Failure{Class: "conflict", Reason: "y is there", After: time.Hour}, true))
	y := workOn(t, s, "y")
	claimPath(t, s, y, "/x", "x", true)
	if wanted, err := s.PathAwaited(t.Context(), y); err != nil || !wanted {
		t.Fatalf("x waits for the path of y: %t, %v", wanted, err)
	}
	aside := y.Applied
	aside.Path = "/damsync-moving/y"
	must(t, s.RecordStep(t.Context(), y, aside))
	must(t, s.ReleasePaths(t.Context(), y, ""))
	must(t, s.FailPlacement(t.Context(), y, state.Failure{Class: "conflict", Reason: "x is there", After: time.Hour}, false))
	placed(t, s, "x") // woken by the release
	placed(t, s, "y") // woken by the finish
	if diff := gocmp.Diff([]string{"brand /x y", "brand /y x"}, pathClaims(t, pool)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	clock.advance(time.Hour)
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed %+v", got)
	}
}

// In a circle of assets that are worked on at the same time, each refused before another's refusal is recorded, none
// waits for a back-off.
func TestCircleOfPaths(t *testing.T) {
	_, _, s := planned(t, "x", "y", "z", "other")
	next := map[string]string{"x": "y", "y": "z", "z": "x"}
	for id := range next {
		placed(t, s, id)
	}
	placed(t, s, "other")
	replan(t, s, "other", "/x") // waits for one of them and blocks none
	for id, to := range next {
		replan(t, s, id, "/"+to)
	}
	other := workOn(t, s, "other")
	claimPath(t, s, other, "/x", "x", true)
	if wanted, err := s.PathAwaited(t.Context(), other); err != nil || wanted {
		t.Errorf("an asset that blocks none should move aside: %t, %v", wanted, err)
	}
	work := map[string]state.Work{}
	for id, to := range next {
		work[id] = workOn(t, s, id)
		claimPath(t, s, work[id], "/"+to, to, true)
	}
	for id, w := range work {
		if wanted, err := s.PathAwaited(t.Context(), w); err != nil || !wanted {
			t.Fatalf("the path of %s is wanted: %t, %v", id, wanted, err)
		}
	}
	for id, w := range work {
		aside := w.Applied
		aside.Path = "/damsync-moving/" + id
		must(t, s.RecordStep(t.Context(), w, aside))
		must(t, s.ReleasePaths(t.Context(), w, ""))
		must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "conflict", Reason: "held", After: time.Hour}, false))
	}
	for id := range next {
		placed(t, s, id)
	}
}

// Removing an asset frees its path; assets of other targets are unaffected.
func TestRemovalFreesThePath(t *testing.T) {
	pool, _, s := planned(t, "x")
	placed(t, s, "x")
	exec(t, pool, `INSERT INTO damsync.path_claim VALUES ('shop', '/x', 'x')`)
	must(t, s.PlanAssets(t.Context(), polled(), []string{"x"}, nothing("brand")))
	exec(t, pool, `UPDATE damsync.placement SET guard = 'open'`)
	w := claimOneWork(t, s, "brand")
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	if diff := gocmp.Diff([]string{"shop /x x"}, pathClaims(t, pool)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}
