package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// A lease has one holder at a time, from its acquisition until it ends or is released. After that, the next process that
// asks gets it.
func TestLeaseHasOneHolder(t *testing.T) {
	const ttl = 10 * time.Second
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	rapid.Check(t, func(rt *rapid.T) {
		exec(t, pool, `DELETE FROM damsync.lease`)
		holder, left := "", time.Duration(0)
		replica := rapid.SampledFrom([]string{"a", "b", "c"})
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": func(rt *rapid.T) {
				id := replica.Draw(rt, "replica")
				got, err := New(pool, id).AcquireLease(t.Context(), state.LeaseLeader, ttl)
				if err != nil {
					rt.Fatal(err)
				}
				if want := holder == "" || holder == id; got != want {
					rt.Fatalf("%s asks while %q holds: got %t", id, holder, got)
				}
				if got {
					holder, left = id, ttl
				}
			},
			"release": func(rt *rapid.T) {
				id := replica.Draw(rt, "replica")
				if err := New(pool, id).ReleaseLease(t.Context(), state.LeaseLeader); err != nil {
					rt.Fatal(err)
				}
				if holder == id {
					holder = ""
				}
			},
			"wait": func(rt *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 12).Draw(rt, "seconds")) * time.Second
				clock.advance(d)
				if left -= d; left <= 0 {
					holder = ""
				}
			},
			"": func(rt *rapid.T) {
				got, _, err := leaseHolder(t.Context(), pool, state.LeaseLeader)
				if err != nil {
					rt.Fatal(err)
				}
				if got != holder {
					rt.Fatalf("the holder is %q, want %q", got, holder)
				}
			},
		})
	})
}

func TestLeaseOfManyOneGetsIt(t *testing.T) {
	pool := pgtest.Pool(t)
	var wg sync.WaitGroup
	var got atomic.Int32
	for i := range 20 {
		wg.Go(func() {
			held, err := New(pool, fmt.Sprint(i)).AcquireLease(t.Context(), state.LeaseLeader, time.Minute)
			if err != nil {
				t.Error(err)
			}
			if held {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if n := got.Load(); n != 1 {
		t.Errorf("%d hold the lease", n)
	}
}

func TestLeaseAfterTheClockWasSetBack(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	for _, step := range []struct {
		id  string
		now string
	}{
		{"a", "2026-03-10T12:00:00Z"},
		{"b", "2026-03-10T09:00:00Z"},
	} {
		clock.set(utcTime(t, step.now))
		got, err := New(pool, step.id).AcquireLease(t.Context(), state.LeaseLeader, time.Minute)
		if err != nil || !got {
			t.Errorf("%s at %s: %t, %v", step.id, step.now, got, err)
		}
	}
}
