package loop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWakeup(t *testing.T) {
	t.Run("signals that arrive while no loop waits count as one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := NewWakeup()
			for range 3 {
				w.Signal() // never blocks
			}
			if took := waited(t, w, time.Minute); took != 0 {
				t.Errorf("woken after %s", took)
			}
			if took := waited(t, w, time.Minute); took != time.Minute {
				t.Errorf("woken again after %s", took)
			}
		})
	})
	t.Run("a waiting loop is woken at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := NewWakeup()
			time.AfterFunc(time.Second, w.Signal)
			if took := waited(t, w, time.Minute); took != time.Second {
				t.Errorf("woken after %s", took)
			}
		})
	})
	t.Run("a wait without a signal ends by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, d := range []time.Duration{time.Hour, 0, -time.Hour} {
				if took := waited(t, NewWakeup(), d); took != max(d, 0) {
					t.Errorf("a wait of %s took %s", d, took)
				}
			}
		})
	})
	t.Run("a signal is taken once", func(t *testing.T) {
		w := NewWakeup()
		w.Signal()
		if first, second := w.Take(), w.Take(); !first || second {
			t.Errorf("taken: %t, then %t", first, second)
		}
	})
	t.Run("a wait ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := NewWakeup().Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// waited returns how long a wait takes.
func waited(t *testing.T, w Wakeup, d time.Duration) time.Duration {
	t.Helper()
	started := time.Now()
	if err := w.Wait(t.Context(), d); err != nil {
		t.Error(err)
	}
	return time.Since(started)
}

// Stopping a renewal waits for the last call, so that none comes after it.
func TestRenewStopsAfterItsLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renewals, running := newCalls(), false
		stop := Renew(t.Context(), time.Minute, func(context.Context) {
			running = true
			renewals.add()
			time.Sleep(30 * time.Second) // longer than the stop
			running = false
		})
		time.Sleep(3*time.Minute + time.Second) // renewals at 1:00 and 2:30
		time.Sleep(time.Minute)                 // and 4:00
		stop()
		if running || len(renewals.times()) != 3 {
			t.Errorf("%d renewals, running %t", len(renewals.times()), running)
		}
		time.Sleep(time.Hour)
		if n := len(renewals.times()); n != 3 {
			t.Errorf("%d renewals after it was stopped", n)
		}
	})
}

// Failures in a row wait longer and longer up to the limit, and not all equally long.
func TestRetryDelayDoubles(t *testing.T) {
	seen := map[time.Duration]bool{}
	for failures, most := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 7: time.Minute, 100: time.Minute,
	} {
		for range 50 {
			d := RetryDelay(failures, time.Minute)
			if d < most/2 || d > most {
				t.Errorf("%s after %d failures, want %s to %s", d, failures, most/2, most)
			}
			seen[d] = true
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d different delays in 300", len(seen))
	}
}
