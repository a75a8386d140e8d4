package store

import (
	"errors"
	"math"
	"testing"
	"time"

	"damsync/internal/state"
)

// A database restored from an older copy continues above the generations that its targets hold, for the asset that
// found one and for later assets.
func TestRaiseGeneration(t *testing.T) {
	pool, clock, s := planned(t, "x", "y")
	w := workOn(t, s, "x")
	above := w.Generation + 40
	must(t, s.RaiseGeneration(t.Context(), w, above))
	raised := query[int64](t, pool, `SELECT desired_generation FROM damsync.placement WHERE asset_id = 'x'`)
	if raised <= above {
		t.Errorf("generation %d, the target holds %d", raised, above)
	}
	must(t, s.RaiseGeneration(t.Context(), w, above)) // what is higher already stays
	if again := query[int64](t, pool, `SELECT desired_generation FROM damsync.placement WHERE asset_id = 'x'`); again != raised {
		t.Errorf("generation %d, raised before to %d", again, raised)
	}
	replan(t, s, "y", "/elsewhere")
	if later := query[int64](t, pool, `SELECT desired_generation FROM damsync.placement WHERE asset_id = 'y'`); later <= raised {
		t.Errorf("planned later with generation %d, below %d", later, raised)
	}
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "stale", Reason: "the target holds a higher generation", After: time.Hour}, false))
	next := workOn(t, s, "x") // at once
	if next.Generation != raised {
		t.Errorf("claimed generation %d, want %d", next.Generation, raised)
	}
	clock.advance(2 * time.Minute)
	workOn(t, New(pool, "b"), "x")
	if err := s.RaiseGeneration(t.Context(), next, raised); !errors.Is(err, state.ErrLeaseLost) {
		t.Errorf("raised for a worker that was replaced: %v", err)
	}
}

// A mark with a generation that was never issued does not use up numbers: other assets and targets are unaffected.
func TestSpoiltMark(t *testing.T) {
	pool, _, s := planned(t, "x")
	w := workOn(t, s, "x")
	for _, implausible := range []int64{math.MaxInt64, math.MaxInt64 - 1, w.Generation + 2*maxLift} {
		if err := s.RaiseGeneration(t.Context(), w, implausible); !errors.Is(err, state.ErrUnknownGeneration) {
			t.Errorf("generation %d: %v", implausible, err)
		}
	}
	if got := query[int64](t, pool, `SELECT desired_generation FROM damsync.placement`); got != w.Generation {
		t.Errorf("generation %d, before %d", got, w.Generation)
	}
	apply(t, s, second(1), everything("shop"), summary("y"))
	if got := query[int64](t, pool, `SELECT max(desired_generation) FROM damsync.placement`); got > w.Generation+generationMargin {
		t.Errorf("planned later with generation %d", got)
	}
}

// An object with a implausible mark becomes work like any other, above the sound marks.
func TestSpoiltMarkInARepair(t *testing.T) {
	s, run := placedStore(t)
	a, b := driftOf(t, s, state.DriftChanged, "a"), driftOf(t, s, state.DriftChanged, "b")
	a.Found.Generation, b.Found.Generation = math.MaxInt64, 5000
	if n, err := s.Repair(t.Context(), run, "brand", []state.Drift{a, b}); err != nil || n != 2 {
		t.Fatalf("repaired %d, %v", n, err)
	}
	orphan := state.Drift{Kind: state.DriftOrphaned, AssetID: "gone", Found: state.Object{State: "present", Generation: math.MaxInt64}}
	if n, _, err := s.RetireOrphans(t.Context(), run, "brand", "no rule wants it", []state.Drift{orphan}); err != nil || n != 1 {
		t.Fatalf("retired %d, %v", n, err)
	}
	const dirty = `SELECT count(*) FROM damsync.placement WHERE desired_generation > greatest(applied_generation, 5000) AND desired_generation < 1 << 30`
	if n := query[int](t, s.pool, dirty); n != 3 {
		t.Errorf("%d placements are work, want 3", n)
	}
}
