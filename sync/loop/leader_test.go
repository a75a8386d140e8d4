package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
)

// lease is one lease that several processes want.
type lease struct {
	mu     sync.Mutex
	holder string
	until  time.Time
	fail   error
}

// leaseOf is the lease store of one process.
type leaseOf struct {
	*lease
	process string
}

func (l leaseOf) AcquireLease(_ context.Context, name string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fail != nil:
		return false, l.fail
	case name != "lead":
		return false, fmt.Errorf("lease %q", name)
	case l.holder != l.process && time.Now().Before(l.until):
		return false, nil
	}
	l.holder, l.until = l.process, time.Now().Add(ttl)
	return true, nil
}

func (l leaseOf) ReleaseLease(ctx context.Context, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == l.process && ctx.Err() == nil {
		l.holder, l.until = "", time.Time{}
	}
	return nil
}

func (l *lease) holds() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder
}

func newLeader(l *lease, process string) *Leader {
	return &Leader{
		Store: leaseOf{l, process}, Lease: "lead", SlowPoll: 30 * time.Second, Log: zerolog.Nop(),
		Delay: func(failures int, _ error) time.Duration { return time.Duration(failures) * time.Minute },
	}
}

// start runs fn until the test ends.
func start(t *testing.T, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}

func TestLeadChangesHands(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(t *testing.T, first *Leader, l *lease, stop func())
		within time.Duration
	}{
		"at once when the leader ends": {func(_ *testing.T, _ *Leader, _ *lease, stop func()) { stop() }, leaderRenew},
		"when the lease of one that died is over": {func(_ *testing.T, _ *Leader, l *lease, stop func()) {
			stop()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.holder, l.until = "first", time.Now().Add(leaderTTL) // it did not release it
		}, leaderTTL + leaderRenew},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l lease
				first, second := newLeader(&l, "first"), newLeader(&l, "second")
				stopFirst := start(t, first.Hold)
				synctest.Wait()
				defer start(t, second.Hold)()
				time.Sleep(10 * leaderTTL)
				if !first.Leading() || second.Leading() {
					t.Errorf("leading: first %t, second %t", first.Leading(), second.Leading())
				}
				test.end(t, first, &l, stopFirst)
				if first.Leading() {
					t.Error("it leads after its end")
				}
				time.Sleep(test.within)
				synctest.Wait()
				if !second.Leading() || l.holds() != "second" {
					t.Errorf("%q holds the lease after %s", l.holds(), test.within)
				}
			})
		})
	}
}

// A process that cannot renew the lease does not lead.
func TestLeadEndsWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lease
		leader := newLeader(&l, "first")
		defer start(t, leader.Hold)()
		synctest.Wait()
		l.mu.Lock()
		l.fail = errors.New("connection refused")
		l.mu.Unlock()
		time.Sleep(leaderRenew)
		synctest.Wait()
		if leader.Leading() {
			t.Error("it leads although the lease is not renewed")
		}
	})
}

// calls counts the steps of a loop and when they came.
type calls struct {
	mu  sync.Mutex
	at  []time.Duration
	now func() time.Duration
}

func newCalls() *calls {
	started := time.Now()
	return &calls{now: func() time.Duration { return time.Since(started) }}
}

func (c *calls) add() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, c.now())
	return len(c.at)
}

func (c *calls) times() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at)
}

// leading is a leader that leads without a lease.
func leading(log zerolog.Logger) *Leader {
	l := newLeader(&lease{}, "first")
	l.Log = log
	l.leading.Store(true)
	return l
}

func TestStepsOfTheLeader(t *testing.T) {
	const m = time.Minute
	spent := func() error { return &grant.Deferred{Class: grant.Sweep, Until: time.Now().Add(time.Hour)} }
	broken := func() error { return errors.New("the library is down") }
	fine := func() error { return nil }
	for name, test := range map[string]struct {
		outcome  func(n int) error // of the n-th step; a step asks for the next one after ten minutes
		at       []time.Duration
		warnings int
	}{
		"come after the wait that the last one returned": {func(int) error { return nil }, []time.Duration{0, 10 * m, 20 * m, 30 * m}, 0},
		"are retried after a delay that grows with the failures": {
			func(int) error { return broken() },
			[]time.Duration{0, m, 3 * m, 6 * m, 10 * m, 15 * m, 21 * m, 28 * m},
			8,
		},
		"wait less again after a success": {func(n int) error {
			return []func() error{broken, broken, fine}[(n-1)%3]()
		}, []time.Duration{0, m, 3 * m, 13 * m, 14 * m, 16 * m, 26 * m, 27 * m, 29 * m}, 6},
		"that the quota defers are no failure": {func(n int) error {
			if n <= 20 {
				return spent()
			}
			return broken()
		}, append(every(m, 20), 20*m, 21*m, 23*m, 26*m, 30*m), 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				leader, steps := leading(zerolog.New(&log)), newCalls()
				stop := start(t, func(ctx context.Context) error {
					return leader.Run(ctx, NewWakeup(), "read the library", func(context.Context) (time.Duration, error) {
						return 10 * m, test.outcome(steps.add())
					})
				})
				time.Sleep(30*m + time.Second)
				stop()
				if got := steps.times(); !slices.Equal(got, test.at) {
					t.Errorf("steps at %v, want %v", got, test.at)
				}
				if n := strings.Count(log.String(), `"cannot read the library"`); n != test.warnings || strings.Count(log.String(), "\n") != n {
					t.Errorf("%d warnings, want %d:\n%s", n, test.warnings, log.String())
				}
			})
		})
	}
}

// every lists n times that are d apart, from zero.
func every(d time.Duration, n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = time.Duration(i) * d
	}
	return all
}

// A process that does not lead takes no step, and begins as soon as it leads.
func TestOnlyTheLeaderSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lease{holder: "another", until: time.Now().Add(time.Hour)}
		leader, steps := newLeader(&l, "first"), newCalls()
		leader.SlowPoll = 24 * time.Hour
		w := NewWakeup()
		stopRun := start(t, func(ctx context.Context) error {
			return leader.Run(ctx, w, "do it", func(context.Context) (time.Duration, error) {
				steps.add()
				return 24 * time.Hour, nil
			})
		})
		stopHold := start(t, leader.Hold)
		time.Sleep(30 * time.Minute)
		w.Signal()
		synctest.Wait()
		if n := len(steps.times()); n != 0 {
			t.Errorf("%d steps without the lead", n)
		}
		time.Sleep(30*time.Minute + leaderRenew)
		synctest.Wait()
		if n := len(steps.times()); n != 1 {
			t.Errorf("%d steps right after it leads, want one", n)
		}
		w.Signal()
		synctest.Wait()
		if n := len(steps.times()); n != 2 {
			t.Errorf("%d steps after a wake-up, want two", n)
		}
		stopHold()
		w.Signal()
		synctest.Wait()
		if n := len(steps.times()); n != 2 {
			t.Errorf("%d steps after it resigned, want two", n)
		}
		stopRun()
	})
}
