package store

import (
	"fmt"
	"math"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/state"
)

func answering(a state.GuardAnswer) func(state.Wave) state.GuardAnswer {
	return func(state.Wave) state.GuardAnswer { return a }
}

// asking returns a limit that counts everything at the target.
func asking(by func(state.Wave) state.GuardAnswer) state.GuardLimit {
	return state.GuardLimit{Enough: func(state.Wave) int { return math.MaxInt32 }, Evaluate: by}
}

func evaluate(t *testing.T, s *Store, by func(state.Wave) state.GuardAnswer) (state.Wave, state.GuardAnswer) {
	t.Helper()
	wave, answer, err := s.EvaluateRemovals(t.Context(), "brand", asking(by))
	must(t, err)
	return wave, answer
}

func guards(t *testing.T, pool *pgxpool.Pool) map[string]int {
	t.Helper()
	return query[map[string]int](t, pool, `SELECT coalesce(jsonb_object_agg(guard, n), '{}') FROM
		(SELECT guard, count(*) AS n FROM damsync.placement WHERE target = 'brand' AND NOT desired_present GROUP BY guard) g`)
}

// removing returns a store with assets at target brand, of which the last n wait to be removed.
func removing(t *testing.T, total, n int) (*pgxpool.Pool, *clock, *Store) {
	t.Helper()
	var ids []string
	for i := range total {
		ids = append(ids, fmt.Sprintf("%03d", i))
	}
	pool, clock, s := planned(t, ids...)
	place(t, s, "brand")
	must(t, s.PlanAssets(t.Context(), polled(), ids[total-n:], nothing("brand")))
	return pool, clock, s
}

func TestWave(t *testing.T) {
	pool, clock, s := removing(t, 10, 3)
	// Suspects are assets that are at this target, should be, and may be gone.
	must(t, s.PlanAssets(t.Context(), polled(), []string{"000"}, everything("shop")))
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "000"}, {ID: "001"}, {ID: "009"}, {ID: "unknown"}}))
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, false, []state.Ref{{ID: "002"}}))
	exec(t, pool, `INSERT INTO damsync.removal (target, count, approved, at) SELECT target, count, approved, now - age FROM
		(VALUES ('brand', 5, false, interval '59 seconds'), ('brand', 7, false, interval '61 seconds'), ('brand', 11, true, interval '1 second'),
		('shop', 13, false, interval '1 second')) v (target, count, approved, age), fake.now() AS now`)
	clock.advance(time.Second)
	wave, answer := evaluate(t, s, answering(state.GuardWait))
	want := state.Wave{Waiting: 3, Suspects: 2, Present: 10, Recent: 0, NewestAge: time.Second}
	if diff := gocmp.Diff(want, wave); diff != "" || answer != state.GuardWait {
		t.Errorf("wave (-want +got):\n%s", diff)
	}
	clock.advance(-time.Second)
	if wave, _ := evaluate(t, s, answering(state.GuardWait)); wave.Recent != 5 {
		t.Errorf("%d were released recently, want 5", wave.Recent)
	}
	if diff := gocmp.Diff(map[string]int{"waiting": 3}, guards(t, pool)); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
}

// Objects at the target are counted up to the number that the limit asks for.
func TestEnoughIsCounted(t *testing.T) {
	_, _, s := removing(t, 10, 3)
	for enough, want := range map[int]int{0: 0, 4: 4, 10: 10, 11: 10} {
		wave, _, err := s.EvaluateRemovals(t.Context(), "brand", state.GuardLimit{
			Enough: func(w state.Wave) int {
				if w.Waiting != 3 {
					t.Errorf("called with %+v", w)
				}
				return enough
			},
			Evaluate: answering(state.GuardWait),
		})
		if err != nil || wave.Present != want {
			t.Errorf("%d of 10 objects are counted when %d are enough, %v", wave.Present, enough, err)
		}
	}
}

func TestReleasedWave(t *testing.T) {
	pool, clock, s := removing(t, 5, 2)
	l := listen(t, s)
	l.expect(state.Topics()...)
	if _, answer := evaluate(t, s, answering(state.GuardRelease)); answer != state.GuardRelease {
		t.Errorf("answer %s", answer)
	}
	l.expect(state.TopicPlacement)
	if diff := gocmp.Diff(map[string]int{"open": 2}, guards(t, pool)); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
	// With nothing waiting, the limit is not evaluated.
	if wave, _ := evaluate(t, s, func(state.Wave) state.GuardAnswer { t.Error("called with nothing"); return state.GuardHold }); wave.Waiting != 0 {
		t.Errorf("wave %+v", wave)
	}
	place(t, s, "brand")
	must(t, s.PlanAssets(t.Context(), polled(), []string{"000"}, nothing("brand")))
	wave, _ := evaluate(t, s, answering(state.GuardWait))
	if diff := gocmp.Diff(state.Wave{Waiting: 1, Recent: 2, Present: 3}, wave, cmpopts.IgnoreFields(wave, "NewestAge")); diff != "" {
		t.Errorf("wave (-want +got):\n%s", diff)
	}
	clock.advance(RecentWindow)
	if wave, _ = evaluate(t, s, answering(state.GuardWait)); wave.Recent != 0 {
		t.Errorf("%d still count after a minute", wave.Recent)
	}
}

// A wave over the limit is held whole, shown, and released when a person approves it.
func TestHeldWave(t *testing.T) {
	pool, _, s := removing(t, 5, 3)
	if _, answer := evaluate(t, s, answering(state.GuardHold)); answer != state.GuardHold {
		t.Errorf("answer %s", answer)
	}
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Fatalf("a held removal is worked on: %+v", got)
	}
	wave, err := s.Held(t.Context(), "brand", 2)
	want := []state.HeldRemoval{
		{AssetID: "002", Title: "Title of 002", Path: "/002", Reason: "does not belong there"},
		{AssetID: "003", Title: "Title of 003", Path: "/003", Reason: "does not belong there"},
	}
	if diff := gocmp.Diff(want, wave.First); err != nil || diff != "" || len(wave.AssetIDs) != 3 || len(wave.Generations) != 3 {
		t.Errorf("held %v (-want +got):\n%s%v", wave, diff, err)
	}
	must(t, s.PlanAssets(t.Context(), polled(), []string{"000"}, nothing("brand")))
	if wave, _ := evaluate(t, s, answering(state.GuardWait)); wave.Held != 3 || wave.Waiting != 1 {
		t.Errorf("wave %+v", wave)
	}
	// A placement that should be there again is not held.
	must(t, s.PlanAssets(t.Context(), polled(), []string{"004"}, everything("brand")))
	if n, left, err := s.Approve(t.Context(), "shop", wave); err != nil || n != 0 || left != 0 {
		t.Errorf("approved %d at another target, %d left, %v", n, left, err)
	}
	if n, left, err := s.Approve(t.Context(), "brand", wave); err != nil || n != 2 || left != 0 {
		t.Errorf("approved %d, %d left, %v", n, left, err)
	}
	if diff := gocmp.Diff(map[string]int{"open": 2, "waiting": 1}, guards(t, pool)); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
	if wave, _ := evaluate(t, s, answering(state.GuardWait)); wave.Recent != 0 {
		t.Errorf("approved removals count against the next: %+v", wave)
	}
}

// Approval covers what was listed: neither removals that have come to be held since, nor those that were planned again
// for another reason.
func TestOnlyWhatWasListedIsApproved(t *testing.T) {
	pool, _, s := removing(t, 5, 3)
	evaluate(t, s, answering(state.GuardHold))
	wave, err := s.Held(t.Context(), "brand", 9)
	must(t, err)
	must(t, s.PlanAssets(t.Context(), polled(), []string{"004"}, everything("brand")))
	must(t, s.PlanAssets(t.Context(), polled(), []string{"000", "004"}, nothing("brand")))
	evaluate(t, s, answering(state.GuardHold))
	if n, left, err := s.Approve(t.Context(), "brand", wave); err != nil || n != 2 || left != 2 {
		t.Errorf("approved %d, %d left, %v", n, left, err)
	}
	got := lines(t, pool, `SELECT asset_id FROM damsync.placement WHERE guard = 'held' ORDER BY 1`)
	if want := []string{"000", "004"}; !gocmp.Equal(got, want) {
		t.Errorf("held %v, want %v", got, want)
	}
}

// Promise 4: a removal that came while the wave was evaluated was not counted and is not released with it.
func TestWaveThatGrowsIsNotReleased(t *testing.T) {
	pool, _, s := removing(t, 5, 1)
	wave, answer := evaluate(t, s, func(state.Wave) state.GuardAnswer {
		must(t, s.PlanAssets(t.Context(), polled(), []string{"000", "001"}, nothing("brand")))
		return state.GuardRelease
	})
	if answer != state.GuardWait || wave.NewestAge != 0 {
		t.Errorf("answer %s, wave %+v", answer, wave)
	}
	if diff := gocmp.Diff(map[string]int{"waiting": 3}, guards(t, pool)); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
}

// Two replicas evaluate one after the other, so that together they release no more than one would.
func TestTwoEvaluationsAtOnce(t *testing.T) {
	pool, _, s := removing(t, 6, 3)
	b := New(pool, "b")
	asked, evaluated := make(chan struct{}), make(chan state.Wave, 1)
	go func() {
		<-asked
		wave, _, err := b.EvaluateRemovals(t.Context(), "brand", asking(answering(state.GuardHold)))
		if err != nil {
			t.Error(err)
		}
		evaluated <- wave
	}()
	evaluate(t, s, func(state.Wave) state.GuardAnswer {
		close(asked)
		awaitLock(t, pool)
		return state.GuardRelease
	})
	if wave := <-evaluated; wave.Waiting != 0 {
		t.Errorf("the second evaluated what the first had released: %+v", wave)
	}
	if diff := gocmp.Diff(map[string]int{"open": 3}, guards(t, pool)); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
}

// awaitLock returns when a session waits for an advisory lock of this database.
func awaitLock(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if lockAwaited(t, pool) {
			return
		}
	}
}

func lockAwaited(t *testing.T, pool *pgxpool.Pool) bool {
	t.Helper()
	return query[bool](t, pool, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`)
}
