package grant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"damsync/internal/grant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Ledger in memory that spaces its grants as the durable one does. It also
// has a number of requests left for each class, and pauses.
type memory struct {
	mu          sync.Mutex
	spacing     time.Duration
	slot        time.Time           // of the last grant
	left        map[grant.Class]int // absent: no limit
	pausedUntil time.Time
	fail        error
	slow        time.Duration // how long an answer takes
}

// tolerance is how early a request may be granted before its slot.
const tolerance = 20 * time.Millisecond

func newMemory(perSecond int) *memory {
	return &memory{spacing: 1080 * time.Millisecond / time.Duration(perSecond), left: map[grant.Class]int{}}
}

func (m *memory) Take(ctx context.Context, class grant.Class) (grant.Decision, error) {
	decision, err := m.decide(class)
	if err != nil {
		return decision, err
	}
	select {
	case <-time.After(m.slow):
		return decision, nil
	case <-ctx.Done():
		return grant.Decision{}, ctx.Err()
	}
}

func (m *memory) decide(class grant.Class) (grant.Decision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.fail != nil {
		return grant.Decision{}, m.fail
	}
	if left, ok := m.left[class]; ok && left == 0 {
		return grant.Decision{Deferred: &grant.Deferred{Until: now.Add(time.Hour), Reason: "quota"}}, nil
	}
	if now.Before(m.pausedUntil) {
		return grant.Decision{Wait: m.pausedUntil.Sub(now)}, nil
	}
	slot := m.slot.Add(m.spacing)
	if slot.Before(now) {
		slot = now
	}
	if wait := slot.Sub(now) - tolerance; wait > 0 {
		return grant.Decision{Wait: wait}, nil
	}
	m.slot = slot
	if _, ok := m.left[class]; ok {
		m.left[class]--
	}
	return grant.Decision{At: now}, nil
}

func (m *memory) Pause(_ context.Context, d time.Duration, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pausedUntil = time.Now().Add(d)
	return nil
}

func (m *memory) Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error) {
	return grant.Throttle{Share: 1}, m.Pause(ctx, d, reason)
}

// overrun returns an error when more than n of the times lie in any sliding second.
func overrun(at []time.Time, n int) error {
	slices.SortFunc(at, time.Time.Compare)
	for i := n; i < len(at); i++ {
		if gap := at[i].Sub(at[i-n]); gap <= time.Second {
			return fmt.Errorf("%d requests within %s, from %s", n+1, gap, at[i-n].Format("05.000000"))
		}
	}
	return nil
}

// Whatever the classes, the moments of asking, the delays on the way and the
// cancellations: at most n requests arrive in any sliding second, and no goroutine is
// left waiting.
func TestPaceHoldsOnArrival(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type ask struct {
			after, late, patience time.Duration
			class                 grant.Class
		}
		n := rapid.IntRange(1, 10).Draw(rt, "n")
		asks := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) ask {
			return ask{
				after:    time.Duration(rapid.IntRange(0, 3000).Draw(rt, "after")) * time.Millisecond,
				late:     time.Duration(rapid.IntRange(0, 59).Draw(rt, "late")) * time.Millisecond,
				patience: time.Duration(rapid.SampledFrom([]int{1, 500, 3_600_000}).Draw(rt, "patience")) * time.Millisecond,
				class:    rapid.SampledFrom(grant.Classes()).Draw(rt, "class"),
			}
		}), 1, 60).Draw(rt, "asks")
		slow := time.Duration(rapid.SampledFrom([]int{0, 5, 30, 200}).Draw(rt, "slow")) * time.Millisecond
		var arrivals []time.Time
		synctest.Test(t, func(t *testing.T) {
			ledger := newMemory(n)
			ledger.slow = slow
			d := grant.NewDispatcher(ledger)
			var mu sync.Mutex
			var wg sync.WaitGroup
			for _, a := range asks {
				wg.Go(func() {
					time.Sleep(a.after)
					ctx, cancel := context.WithTimeout(t.Context(), a.patience)
					defer cancel()
					if d.Take(ctx, a.class) != nil {
						return
					}
					time.Sleep(a.late)
					mu.Lock()
					defer mu.Unlock()
					arrivals = append(arrivals, time.Now())
				})
			}
			wg.Wait()
		})
		if err := overrun(arrivals, n); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestFullPaceIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory(10)
		ledger.slow = 7 * time.Millisecond
		d := grant.NewDispatcher(ledger)
		start := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if err := d.Take(t.Context(), grant.Sweep); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if rate := 800 / time.Since(start).Seconds(); rate < 9 {
			t.Errorf("%.2f requests a second of 10", rate)
		}
	})
}

func TestUrgentFirstThenOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(1))
		if err := d.Take(t.Context(), grant.Manual); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for i, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Backfill, grant.Webhook, "novel", grant.Sweep, grant.Webhook} {
			wg.Go(func() {
				if err := d.Take(t.Context(), class); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s%d", class, i))
			})
			synctest.Wait() // it is in the queue
		}
		wg.Wait()
		want := []string{"webhook3", "webhook6", "sweep1", "sweep5", "backfill0", "backfill2", "novel4"}
		if !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
	})
}

// A class that the quota defers must not keep another from being served, and all its
// waiters return together.
func TestDeferralEndsOnlyItsClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory(1)
		ledger.left[grant.Sweep] = 1
		d := grant.NewDispatcher(ledger)
		var mu sync.Mutex
		deferred, served := 0, 0
		var wg sync.WaitGroup
		for _, class := range []grant.Class{grant.Sweep, grant.Sweep, grant.Sweep, grant.Backfill, grant.Webhook, grant.Backfill} {
			wg.Go(func() {
				err := d.Take(t.Context(), class)
				var quota *grant.Deferred
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					served++
				case errors.As(err, &quota) && class == grant.Sweep && !quota.Until.IsZero():
					deferred++
				default:
					t.Errorf("%s: %v", class, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if deferred != 2 || served != 4 {
			t.Errorf("%d deferred and %d served, want 2 and 4", deferred, served)
		}
	})
}

func TestPauseHoldsEveryClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(10))
		start := time.Now()
		if err := d.Pause(t.Context(), 30*time.Second, "429"); err != nil {
			t.Fatal(err)
		}
		if err := d.Take(t.Context(), grant.Webhook); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("waited %s, want 30s", waited)
		}
	})
}

// When the waiter whose turn it is gives up, the turn passes to the next.
func TestCancelPassesTheTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(1))
		if err := d.Take(t.Context(), grant.Manual); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Take(ctx, grant.Webhook); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled waiter got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := d.Take(t.Context(), grant.Backfill); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestLedgerFailureEndsOnlyItsWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory(10)
		ledger.fail = errors.New("database is down")
		d := grant.NewDispatcher(ledger)
		if err := d.Take(t.Context(), grant.Sweep); !errors.Is(err, ledger.fail) {
			t.Fatalf("got %v", err)
		}
		ledger.fail = nil
		if err := d.Take(t.Context(), grant.Sweep); err != nil {
			t.Fatalf("after recovery: %v", err)
		}
	})
}
