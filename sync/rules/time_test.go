package rules

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
)

// almanac is a store that only knows the time, when references were read, and what expires.
type almanac struct {
	PlanStore
	read     state.ObservationState
	changed  func(n int) bool // whether the n-th reading changed something
	readings []time.Duration
	started  time.Time
	topics   []state.Topic

	expired func() (ids []string, next time.Time)
	planned []state.Observation
}

func newAlmanac() *almanac {
	return &almanac{started: time.Now(), changed: func(int) bool { return false }}
}

func (a *almanac) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (a *almanac) Observation(context.Context, string) (state.ObservationState, error) {
	return a.read, nil
}

func (a *almanac) BeginObservation(context.Context, string) error { return nil }

func (a *almanac) EndObservation(_ context.Context, _ string, _ json.RawMessage, failure string) error {
	if failure == "" {
		a.read.LastSuccess = time.Now()
	}
	return nil
}

func (a *almanac) ApplyReferences(context.Context, state.Observation, state.References) (state.ReferencesApplied, error) {
	a.readings = append(a.readings, time.Since(a.started))
	return state.ReferencesApplied{Changed: a.changed(len(a.readings))}, nil
}

func (a *almanac) Names(context.Context) (state.Names, error) { return state.Names{}, nil }

func (a *almanac) Notify(_ context.Context, topic state.Topic) error {
	a.topics = append(a.topics, topic)
	return nil
}

func (a *almanac) Expired(_ context.Context, targets []string, _ int) ([]string, time.Time, error) {
	if !slices.Equal(targets, []string{"expiring"}) {
		return nil, time.Time{}, errors.New("asked for a target that excludes nothing")
	}
	ids, next := a.expired()
	return ids, next, nil
}

func (a *almanac) PlanAssets(_ context.Context, obs state.Observation, _ []string, _ state.Evaluate) error {
	a.planned = append(a.planned, obs)
	return nil
}

func referencesOf(a *almanac) *References {
	return &References{
		Library: newShelf(), Store: a, Planner: &Planner{Rules: NewSet(nil, plan.FolderOrder{}, func() {}), Store: a, Log: zerolog.Nop()},
		Leading: func() bool { return true }, Wakeup: loop.NewWakeup(), Log: zerolog.Nop(),
	}
}

// steps makes the steps that are due within a time, as the leader does.
func (r *References) steps(t *testing.T, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); {
		wait, err := r.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Wakeup.Wait(t.Context(), min(wait, time.Until(end))); err != nil {
			t.Fatal(err)
		}
	}
}

// rows keeps requesting a reading, as rows do whose folder path never agrees.
func (r *References) rows(ctx context.Context) {
	for loop.Pause(ctx, time.Second) == nil {
		r.Request(ctx)
	}
}

func TestReferencesAreReadAgain(t *testing.T) {
	t.Run("hourly without a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAlmanac()
			referencesOf(a).steps(t, 3*time.Hour+time.Minute)
			if len(a.readings) != 4 || a.readings[0] != 0 {
				t.Errorf("read at %v", a.readings)
			}
		})
	})
	t.Run("on request after a gap that doubles while nothing changes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAlmanac()
			r := referencesOf(a)
			ctx, stop := context.WithCancel(t.Context())
			go r.rows(ctx)
			r.steps(t, 2*time.Hour)
			stop()
			synctest.Wait()
			for i, gap := range gaps(a.readings) {
				want := min(minGap<<i, maxGap)
				if gap < want || gap > want+time.Second {
					t.Errorf("gap %d is %s, want %s", i, gap, want)
				}
			}
			if n := len(a.readings); n < 12 || n > 20 {
				t.Errorf("%d readings in two hours of requests", n)
			}
		})
	})
	t.Run("soon again after a reading that changed something", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAlmanac()
			a.changed = func(n int) bool { return n == 6 }
			r := referencesOf(a)
			ctx, stop := context.WithCancel(t.Context())
			go r.rows(ctx)
			r.steps(t, 5*time.Minute)
			stop()
			synctest.Wait()
			if after := gaps(a.readings)[5]; after > minGap+time.Second {
				t.Errorf("%s after it changed, gaps %v", after, gaps(a.readings))
			}
		})
	})
	t.Run("by the leader, whichever process needs it", func(t *testing.T) {
		a := newAlmanac()
		r := referencesOf(a)
		r.Leading = func() bool { return false }
		r.Request(t.Context())
		if !slices.Equal(a.topics, []state.Topic{state.TopicReferences}) {
			t.Errorf("notified %q", a.topics)
		}
	})
}

func gaps(at []time.Duration) []time.Duration {
	var all []time.Duration
	for i := 1; i < len(at); i++ {
		all = append(all, at[i]-at[i-1])
	}
	return all
}

// A reading that failed is still requested.
func TestFailedReadingIsStillRequested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlmanac()
		r := referencesOf(a)
		r.steps(t, time.Minute)
		down := &shelf{fail: errors.New("the library is down")}
		r.Library = down
		r.Requested()
		for range 2 {
			if _, err := r.Step(t.Context()); !errors.Is(err, down.fail) {
				t.Errorf("error %v", err)
			}
		}
		r.Library = newShelf()
		if _, err := r.Step(t.Context()); err != nil || len(a.readings) != 2 {
			t.Errorf("%d readings, %v", len(a.readings), err)
		}
	})
}

func TestExpiry(t *testing.T) {
	for name, test := range map[string]struct {
		ids     []string
		next    time.Duration // zero: nothing expires
		wait    time.Duration
		planned int
	}{
		"is waited for when it comes soon": {nil, 20 * time.Second, 20 * time.Second, 0},
		"is looked for when it comes late": {nil, 20 * time.Hour, time.Minute, 0},
		"is looked for when there is none": {nil, 0, time.Minute, 0},
		"plans the assets again":           {[]string{"a", "b"}, time.Second, time.Second, 1},
		"goes on at once when many do":     {make([]string, expiryBatch), time.Second, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAlmanac()
				a.expired = func() ([]string, time.Time) {
					if test.next == 0 {
						return test.ids, time.Time{}
					}
					return test.ids, a.started.Add(test.next)
				}
				p := &Planner{
					Rules: NewSet(compiled(t, plan.Spec{Name: "expiring"}, summaries("all", everything)), plan.FolderOrder{}, func() {}),
					Store: a, SlowPoll: time.Minute, Log: zerolog.Nop(),
				}
				p.Rules.activate(nil, nil)
				step := p.ExpiryStep()
				if wait, err := step(t.Context()); wait != test.wait || err != nil {
					t.Errorf("waits %s, %v, want %s", wait, err, test.wait)
				}
				if len(a.planned) != test.planned || test.planned > 0 && a.planned[0].Class != grant.Incremental {
					t.Errorf("planned for %+v", a.planned)
				}
				if wait, err := step(t.Context()); wait != expiryGap || err != nil {
					t.Errorf("looks again after %s, %v, want %s", wait, err, expiryGap)
				}
			})
		})
	}
}
