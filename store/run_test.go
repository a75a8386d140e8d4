package store

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

func startRun(t *testing.T, s *Store) state.Run {
	t.Helper()
	run, err := s.StartRun(t.Context(), "sweep", "cron", time.Minute, 24*time.Hour)
	must(t, err)
	return run
}

// A run has one process at a time. When that one is gone, another resumes at its cursor.
func TestRunIsContinued(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	a, b := New(pool, "a"), New(pool, "b")
	run := startRun(t, a)
	if run.Resumed || run.Kind != "sweep" || run.StartedAt.IsZero() || string(run.Cursor) != "{}" {
		t.Errorf("run %+v", run)
	}
	progress := state.Progress{Requests: 3, Seen: 200, Changed: 7, Suspects: []string{"x", "y"}, Cursor: json.RawMessage(`{"to": 5}`)}
	must(t, a.RecordProgress(t.Context(), run, progress, time.Minute))
	must(t, a.RecordProgress(t.Context(), run, state.Progress{Requests: 1, Suspects: []string{"x"}}, time.Minute))
	if _, err := b.StartRun(t.Context(), "sweep", "cli", time.Minute, 24*time.Hour); !errors.Is(err, state.ErrRunning) {
		t.Errorf("two at once: %v", err)
	}
	if has, err := b.HasRunning(t.Context(), "sweep"); err != nil || !has {
		t.Errorf("no run is seen: %v", err)
	}
	clock.advance(61 * time.Second)
	next := startRun(t, b)
	if next.ID != run.ID || !next.Resumed || string(next.Cursor) != `{"to": 5}` {
		t.Errorf("run %+v", next)
	}
	for name, err := range map[string]error{
		"progress": a.RecordProgress(t.Context(), run, state.Progress{Suspects: []string{"z"}}, time.Minute),
		"fail":     a.FailRun(t.Context(), run, "too late"),
	} {
		if !errors.Is(err, state.ErrLeaseLost) {
			t.Errorf("%s by a process that lost the run: %v", name, err)
		}
	}
	if _, err := a.FinishRun(t.Context(), run, grant.Sweep); !errors.Is(err, state.ErrLeaseLost) {
		t.Errorf("finish by a process that lost the run: %v", err)
	}
	must(t, a.LeaveRun(t.Context(), run)) // another process has taken it over
	totals, err := b.RunTotals(t.Context(), run.ID)
	if want := (state.RunTotals{Requests: 4, Seen: 200, Changed: 7, Suspects: 2}); err != nil || totals != want {
		t.Errorf("totals %+v, %v, want %+v", totals, err, want)
	}
	must(t, b.LeaveRun(t.Context(), next))
	if third := startRun(t, a); third.ID != run.ID || !third.Resumed {
		t.Errorf("a run that was left is not continued at once: %+v", third)
	}
	if _, err := a.RunTotals(t.Context(), -1); err == nil {
		t.Error("totals of a run that never was")
	}
}

// A run that its process left unfinished for longer than it may be resumed fails, and a new one starts.
func TestAbandonedRunIsReplaced(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	a, b := New(pool, "a"), New(pool, "b")
	run := startRun(t, a)
	must(t, a.RecordProgress(t.Context(), run, state.Progress{Suspects: []string{"x"}, Cursor: json.RawMessage(`{"to": 5}`)}, time.Minute))
	clock.advance(48 * time.Hour)
	next := startRun(t, b)
	if next.ID == run.ID || next.Resumed || string(next.Cursor) != "{}" {
		t.Errorf("run %+v after %+v", next, run)
	}
	if got := query[string](t, pool, `SELECT concat_ws(' ', state, error) FROM damsync.run WHERE id = $1`, run.ID); got != "failed left unfinished" {
		t.Errorf("the old run: %q", got)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.suspect`); n != 0 {
		t.Errorf("%d suspects of the old run are left", n)
	}
	must(t, b.LeaveRun(t.Context(), next))
	if third, err := a.StartRun(t.Context(), "sweep", "cron", time.Minute, 0); err != nil || third.Resumed {
		t.Errorf("a kind that cannot be resumed: %+v, %v", third, err)
	}
}

// Promise 4: suspects become lookups only when the whole run is complete, except those that were seen since.
func TestSuspectsAreLookedUpWhenTheRunIsComplete(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("missing"), summary("moved"), summary("gone"))
	want1(t, s, "gone")
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(2), nil))
	run := startRun(t, s)
	must(t, s.RecordProgress(t.Context(), run, state.Progress{Suspects: []string{"missing", "moved", "gone", "never-known"}}, time.Minute))
	now, err := s.Now(t.Context())
	must(t, err)
	apply(t, s, now, nil, summary("moved", modified(second(5)))) // up the list, by the poll
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
		t.Fatalf("%d lookups before the run is complete", n)
	}
	if n, err := s.FinishRun(t.Context(), run, grant.Sweep); err != nil || n != 1 {
		t.Errorf("%d suspects are looked up, %v", n, err)
	}
	want := wanted{Type: "image", Self: "https://cmp.test/images/missing", Class: "sweep", Observation: "sweep", Urgency: 5, Requested: 1, Gone: true, Due: true}
	if diff := gocmp.Diff(want, lookupOf(t, pool, "missing")); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
	if got := lines(t, pool, `SELECT concat_ws(' ', state, suspects, ended_at IS NOT NULL) FROM report.runs`); !gocmp.Equal(got, []string{"done 4 t"}) {
		t.Errorf("run %v", got)
	}
	if next := startRun(t, s); next.ID == run.ID || next.Resumed {
		t.Errorf("a new run %+v", next)
	}
}

// Nothing is inferred from a run that failed.
func TestFailedRun(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"))
	run := startRun(t, s)
	must(t, s.RecordProgress(t.Context(), run, state.Progress{Suspects: []string{"x"}}, time.Minute))
	must(t, s.FailRun(t.Context(), run, "the \x00library listed nothing"))
	if n := query[int](t, pool, `SELECT (SELECT count(*) FROM damsync.lookup) + (SELECT count(*) FROM damsync.suspect)`); n != 0 {
		t.Errorf("%d lookups and suspects of a failed run", n)
	}
	if got := lines(t, pool, `SELECT concat_ws(' ', state, error) FROM report.runs`); !gocmp.Equal(got, []string{"failed the �library listed nothing"}) {
		t.Errorf("run %v", got)
	}
	if has, err := s.HasRunning(t.Context(), "sweep"); err != nil || has {
		t.Errorf("still running: %v", err)
	}
}

func TestObservation(t *testing.T) {
	start := soon().UTC()
	pool, clock := fakeClock(t, start)
	s := New(pool, "a")
	read := func() state.ObservationState {
		t.Helper()
		o, err := s.Observation(t.Context(), "incremental")
		must(t, err)
		if !o.LastAttempt.IsZero() {
			o.LastAttempt = o.LastAttempt.UTC()
		}
		if !o.LastSuccess.IsZero() {
			o.LastSuccess = o.LastSuccess.UTC()
		}
		return o
	}
	if got := read(); !gocmp.Equal(got, state.ObservationState{}) {
		t.Errorf("before the first: %+v", got)
	}
	must(t, s.BeginObservation(t.Context(), "incremental"))
	clock.advance(time.Second)
	must(t, s.EndObservation(t.Context(), "incremental", json.RawMessage(`{"since": 1}`), ""))
	clock.advance(time.Second)
	must(t, s.BeginObservation(t.Context(), "incremental"))
	clock.advance(time.Second)
	must(t, s.EndObservation(t.Context(), "incremental", json.RawMessage(`{"since": 2}`), "time\x00out"))
	want := state.ObservationState{Cursor: json.RawMessage(`{"since": 1}`), LastAttempt: start.Add(2 * time.Second), LastSuccess: start.Add(time.Second)}
	if diff := gocmp.Diff(want, read()); diff != "" {
		t.Errorf("after a failure (-want +got):\n%s", diff)
	}
	if got := lines(t, pool, `SELECT error FROM report.freshness`); !gocmp.Equal(got, []string{"time�out"}) {
		t.Errorf("error %v", got)
	}
	must(t, s.EndObservation(t.Context(), "incremental", nil, ""))
	if got := read(); string(got.Cursor) != `{"since": 1}` || !got.LastSuccess.Equal(start.Add(3*time.Second)) {
		t.Errorf("after a success without a cursor: %+v", got)
	}
}

func TestMissing(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	for i, id := range []string{"m1", "m2", "m3", "m4", "gone"} {
		apply(t, s, second(20), nil, summary(id, modified(second(i+1))))
	}
	apply(t, s, second(30), nil, summary("just-read", modified(second(3))))
	want1(t, s, "gone")
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(21), nil))
	tests := []struct {
		name        string
		above, upTo time.Time
		inclusive   bool
		seen        []string
		want        []string
	}{
		{name: "span", above: second(1), upTo: second(3), want: []string{"m2", "m3"}},
		{name: "with its lower bound", above: second(1), upTo: second(3), inclusive: true, want: []string{"m1", "m2", "m3"}},
		{name: "without an upper bound", above: second(2), seen: []string{"m3"}, want: []string{"m4"}},
		{name: "whole library", inclusive: true, seen: []string{"m1", "m2", "m3"}, want: []string{"m4"}},
		{name: "all seen", above: second(1), upTo: second(3), seen: []string{"m2", "m3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Missing(t.Context(), state.Span{Above: tt.above, UpTo: tt.upTo, Inclusive: tt.inclusive}, tt.seen, second(25))
			must(t, err)
			if len(got) != len(tt.want) {
				t.Fatalf("missing %v, want %v", got, tt.want)
			}
			for _, id := range tt.want {
				if !gocmp.Equal(1, count(got, id)) {
					t.Errorf("missing %v, want %v", got, tt.want)
				}
			}
		})
	}
}

func count(ids []string, id string) int {
	n := 0
	for _, i := range ids {
		if i == id {
			n++
		}
	}
	return n
}
