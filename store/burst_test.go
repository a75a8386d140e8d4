package store

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// detailed is a rule that reads the details of every asset.
func detailed(_ time.Time, k state.Snapshot) state.Decisions {
	if k.Detail == nil {
		return state.Decisions{Needs: library.LevelDetail}
	}
	return state.Decisions{}
}

func summaries(time.Time, state.Snapshot) state.Decisions { return state.Decisions{} }

func modifiedEvent(id string) Event { return Event{Name: "asset_modified", AssetID: id} }

func now(t *testing.T, s *Store) time.Time {
	t.Helper()
	at, err := s.Now(t.Context())
	must(t, err)
	return at
}

func left(t *testing.T, pool *pgxpool.Pool) [2]int {
	t.Helper()
	return [2]int{query[int](t, pool, `SELECT count(*) FROM damsync.lookup WHERE requested > done`), inboxPending(t, pool)}
}

// A page answers the events that were stored before it was requested, and no others.
func TestPageAnswersEvents(t *testing.T) {
	for _, c := range []struct {
		name     string
		evaluate state.Evaluate
		before   func(t *testing.T, s *Store) // after x was mirrored
		after    func(t *testing.T, s *Store) // after the page was requested
		want     state.Answered
		left     [2]int // lookups, events
	}{
		{name: "summaries suffice", evaluate: summaries, want: state.Answered{Finished: 1}},
		{name: "the detail was never read", evaluate: detailed, want: state.Answered{Deeper: 1}, left: [2]int{1, 1}},
		{
			name: "the detail was read before the event", evaluate: detailed, want: state.Answered{Deeper: 1}, left: [2]int{1, 1},
			before: func(t *testing.T, s *Store) {
				t.Helper()
				want1(t, s, "x")
				applyFetched(t, s, claimOne(t, s), reading(summary("x"), now(t, s)), detailed)
			},
		},
		{
			name: "an event comes meanwhile", evaluate: summaries, left: [2]int{1, 2},
			after: func(t *testing.T, s *Store) { t.Helper(); storeEvent(t, s, modifiedEvent("x")) },
		},
		{
			name: "it is being read", evaluate: summaries, left: [2]int{1, 1},
			after: func(t *testing.T, s *Store) {
				t.Helper()
				if _, err := s.ClaimLookups(t.Context(), 1, time.Minute); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a removal was reported, too", evaluate: summaries, left: [2]int{1, 2},
			after: func(t *testing.T, s *Store) {
				t.Helper()
				storeEvent(t, s, Event{Name: "asset_removed", AssetID: "x"})
			},
		},
		{
			name: "it was also requested by hand", evaluate: summaries, left: [2]int{1, 1},
			before: func(t *testing.T, s *Store) {
				t.Helper()
				must(t, s.RequestLookups(t.Context(), swept(), grant.Manual, false, []state.Ref{{ID: "x"}}))
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := pgtest.Pool(t)
			s := New(pool, "a")
			apply(t, s, second(1), nil, summary("x"))
			if c.before != nil {
				c.before(t, s)
			}
			storeEvent(t, s, modifiedEvent("x"))
			asked := now(t, s)
			if c.after != nil {
				c.after(t, s)
			}
			got, err := s.AnswerLookups(t.Context(), asked, []string{"x", "y"}, c.evaluate)
			if err != nil || got != c.want {
				t.Errorf("answered %+v, %v; want %+v", got, err, c.want)
			}
			if got := left(t, pool); got != c.left {
				t.Errorf("%d lookups and events are left, want %d", got, c.left)
			}
		})
	}
}

// A detail that was read after the event answers it.
func TestPageAnswersAfterTheDetail(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"))
	storeEvent(t, s, modifiedEvent("x"))
	applyFetched(t, s, state.Lookup{AssetID: "x", Observation: polled()}, reading(summary("x"), now(t, s)), detailed)
	if got, err := s.AnswerLookups(t.Context(), now(t, s), []string{"x"}, detailed); err != nil || got.Finished != 1 {
		t.Errorf("answered %+v, %v", got, err)
	}
}

// Only the event names the task that created an asset; a page that shows the asset first must not lose it.
func TestPageKeepsTheSourceTask(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", SourceTask: "task"})
	var seen string
	apply(t, s, now(t, s), func(_ time.Time, k state.Snapshot) state.Decisions { seen = k.SourceTask; return state.Decisions{} }, summary("x"))
	if got, err := s.AnswerLookups(t.Context(), now(t, s), []string{"x"}, summaries); err != nil || got.Finished != 1 {
		t.Errorf("answered %+v, %v", got, err)
	}
	if kept := query[string](t, pool, `SELECT source_task FROM damsync.asset`); kept != "task" || seen != "task" {
		t.Errorf("the mirror has %q, the rules saw %q", kept, seen)
	}
}

// A handful of assets is read at once. Further ones wait for the poll, but for a bounded time, and no longer once the
// poll gives up.
func TestBurstIsHeldBack(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	const n = 12
	for i := range n {
		storeEvent(t, s, modifiedEvent(string(rune('a'+i))))
	}
	storeEvent(t, s, Event{Name: "asset_removed", AssetID: "gone"})
	if got := len(claimIDs(t, s, 100)); got != state.Handful+1 {
		t.Errorf("%d are read at once, want a handful and the removal", got)
	}
	held, err := s.HeldBack(t.Context())
	if err != nil || held.Lookups != n-state.Handful || held.Oldest > time.Minute || held.Newest > held.Oldest {
		t.Errorf("held back: %+v, %v", held, err)
	}
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait > state.HoldBack {
		t.Errorf("the next comes due in %s, %t, %v", wait, found, err)
	}
	asked := now(t, s)
	if held, err := s.HoldLookups(t.Context(), asked, time.Hour); err != nil || held != n-state.Handful {
		t.Errorf("%d are held, %v", held, err)
	}
	must(t, s.ReleaseLookups(t.Context(), asked))
	if got := len(claimIDs(t, s, 100)); got != n-state.Handful {
		t.Errorf("%d are read when the poll gives up", got)
	}
}

// A person who edits one asset step by step sees each step at once. An asset that is reported again and again is not
// read each time.
func TestAssetIsNotReadOverAndOver(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"))
	for range state.Repeats {
		storeEvent(t, s, modifiedEvent("x"))
		applyFetched(t, s, claimOne(t, s), reading(summary("x"), now(t, s)), summaries)
	}
	storeEvent(t, s, modifiedEvent("x"))
	if got := claimIDs(t, s, 10); len(got) > 0 {
		t.Errorf("read again at once: %v", got)
	}
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait > state.HoldBack {
		t.Errorf("the next reading comes in %s, %t, %v", wait, found, err)
	}
}
