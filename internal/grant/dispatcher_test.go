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

// memory is a Ledger in memory: at most n slots in any sliding second, a number of
// requests left for each class, pauses.
type memory struct {
	mu          sync.Mutex
	n           int
	slots       map[grant.Slot]time.Time
	last        grant.Slot
	left        map[grant.Class]int // absent: no limit
	pausedUntil time.Time
	corrections int
	fail        error
	slow        time.Duration // how long Take and Correct take
}

const window = time.Second + grant.Margin

func newMemory(n int) *memory {
	return &memory{n: n, slots: map[grant.Slot]time.Time{}, left: map[grant.Class]int{}}
}

func (m *memory) Take(ctx context.Context, class grant.Class) (grant.Decision, error) {
	decision, err := m.decide(class)
	if err == nil {
		err = m.delay(ctx) // the answer is on its way
	}
	return decision, err
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
	var recent []time.Time
	for _, at := range m.slots {
		if now.Sub(at) <= window {
			recent = append(recent, at)
		}
	}
	if len(recent) >= m.n {
		slices.SortFunc(recent, time.Time.Compare)
		free := recent[len(recent)-m.n].Add(window + time.Nanosecond)
		return grant.Decision{Wait: free.Sub(now)}, nil
	}
	if _, ok := m.left[class]; ok {
		m.left[class]--
	}
	m.last++
	m.slots[m.last] = now
	return grant.Decision{Slot: m.last}, nil
}

func (m *memory) delay(ctx context.Context) error {
	if m.slow == 0 {
		return nil
	}
	select {
	case <-time.After(m.slow):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Correct(ctx context.Context, slot grant.Slot, late time.Duration) (grant.Slot, error) {
	if err := m.delay(ctx); err != nil {
		return slot, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.corrections++
	m.slots[slot] = m.slots[slot].Add(late)
	return slot, nil
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

// overrun says where more than n of the times lie in any sliding second.
func overrun(at []time.Time, n int) error {
	slices.SortFunc(at, time.Time.Compare)
	for i := n; i < len(at); i++ {
		if gap := at[i].Sub(at[i-n]); gap <= time.Second {
			return fmt.Errorf("%d requests within %s, from %s", n+1, gap, at[i-n].Format("05.000000"))
		}
	}
	return nil
}

// Whatever the classes, the moments of asking, the delays before leaving and the
// cancellations: never more than n arrivals in any sliding second, and nobody is left
// waiting.
func TestPaceHoldsOnArrival(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type ask struct {
			after, dial, patience time.Duration
			wire                  time.Duration // from the check to the wire
			class                 grant.Class
		}
		n := rapid.IntRange(1, 10).Draw(rt, "n")
		asks := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) ask {
			return ask{
				after:    time.Duration(rapid.IntRange(0, 3000).Draw(rt, "after")) * time.Millisecond,
				dial:     time.Duration(rapid.SampledFrom([]int{0, 0, 1, 14, 40, 300, 850, 899, 950, 2000}).Draw(rt, "dial")) * time.Millisecond,
				wire:     time.Duration(rapid.SampledFrom([]int{0, 0, 0, 10, 20, 100, 300, 800}).Draw(rt, "wire")) * time.Millisecond,
				patience: time.Duration(rapid.SampledFrom([]int{1, 500, 3_600_000}).Draw(rt, "patience")) * time.Millisecond,
				class:    rapid.SampledFrom(grant.Classes()).Draw(rt, "class"),
			}
		}), 1, 60).Draw(rt, "asks")
		slow := time.Duration(rapid.SampledFrom([]int{0, 5, 30, 60, 200}).Draw(rt, "slow")) * time.Millisecond
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
					send(ctx, d, a.class, a.dial, a.wire, func() {
						mu.Lock()
						defer mu.Unlock()
						arrivals = append(arrivals, time.Now())
					})
				})
			}
			wg.Wait()
		})
		if err := overrun(arrivals, n); err != nil {
			rt.Fatal(err)
		}
	})
}

// send does what the transport does: take, dial, say so, leave, say so.
func send(ctx context.Context, d *grant.Dispatcher, class grant.Class, dial, wire time.Duration, leave func()) {
	for {
		g, err := d.Take(ctx, class)
		if err != nil {
			return
		}
		time.Sleep(dial)
		switch err := g.Sent(ctx, time.Now()); {
		case err == nil:
			time.Sleep(wire)
			leave()
			_ = g.Left(context.WithoutCancel(ctx), time.Now())
			return
		case !errors.Is(err, grant.ErrStale):
			return
		}
		dial = 0 // the connection stands now
	}
}

func TestFullPaceIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(10))
		start := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					send(t.Context(), d, grant.Sweep, 0, 0, func() {})
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 87*time.Second {
			t.Errorf("800 requests at 10/s with the margin took %s", took)
		}
	})
}

func TestUrgentFirstThenOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(1))
		if _, err := d.Take(t.Context(), grant.Manual); err != nil { // the window is full now
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for i, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Backfill, grant.Webhook, "novel", grant.Sweep, grant.Webhook} {
			wg.Go(func() {
				if _, err := d.Take(t.Context(), class); err != nil {
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

// A class that the quota refuses must not keep another from being served, and its
// waiters learn of it together.
func TestRefusalEndsOnlyItsClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory(1)
		ledger.left[grant.Sweep] = 1
		d := grant.NewDispatcher(ledger)
		var mu sync.Mutex
		deferred, served := 0, 0
		var wg sync.WaitGroup
		for _, class := range []grant.Class{grant.Sweep, grant.Sweep, grant.Sweep, grant.Backfill, grant.Webhook, grant.Backfill} {
			wg.Go(func() {
				_, err := d.Take(t.Context(), class)
				var refusal *grant.Deferred
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					served++
				case errors.As(err, &refusal) && class == grant.Sweep && !refusal.Until.IsZero():
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

func TestPauseHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(10))
		start := time.Now()
		if err := d.Pause(t.Context(), 30*time.Second, "429"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Take(t.Context(), grant.Webhook); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("waited %s, want 30s", waited)
		}
	})
}

// The one whose turn it is gives up while it waits: the turn must not go with it.
func TestCancelPassesTheTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grant.NewDispatcher(newMemory(1))
		if _, err := d.Take(t.Context(), grant.Manual); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.Take(ctx, grant.Webhook); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled waiter got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := d.Take(t.Context(), grant.Backfill); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestLedgerFailureIsTheWaitersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory(10)
		ledger.fail = errors.New("database is down")
		d := grant.NewDispatcher(ledger)
		if _, err := d.Take(t.Context(), grant.Sweep); !errors.Is(err, ledger.fail) {
			t.Fatalf("got %v", err)
		}
		ledger.fail = nil
		if _, err := d.Take(t.Context(), grant.Sweep); err != nil {
			t.Fatalf("after recovery: %v", err)
		}
	})
}

func TestLateness(t *testing.T) {
	for _, c := range []struct {
		name         string
		after, slow  time.Duration
		corrections  int
		stale, fails bool
	}{
		{name: "in time", after: 15 * time.Millisecond},
		{name: "late", after: 16 * time.Millisecond, corrections: 1},
		{name: "too late", after: 900 * time.Millisecond, stale: true},
		{name: "slow correction", after: 20 * time.Millisecond, slow: 500 * time.Millisecond, corrections: 1, stale: true},
		{name: "no correction", after: 20 * time.Millisecond, slow: time.Hour, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ledger := newMemory(10)
				g, err := grant.NewDispatcher(ledger).Take(t.Context(), grant.Detail)
				if err != nil {
					t.Fatal(err)
				}
				ledger.slow = c.slow
				time.Sleep(c.after)
				err = g.Sent(t.Context(), time.Now())
				if errors.Is(err, grant.ErrStale) != c.stale || (err != nil) != (c.stale || c.fails) {
					t.Errorf("error is %v", err)
				}
				if ledger.corrections != c.corrections {
					t.Errorf("%d corrections, want %d", ledger.corrections, c.corrections)
				}
			})
		})
	}
}
