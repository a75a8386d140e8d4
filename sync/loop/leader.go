package loop

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
)

const (
	leaderTTL   = 15 * time.Second
	leaderRenew = 5 * time.Second
)

// LeaseStore grants named leases on the database's clock.
type LeaseStore interface {
	AcquireLease(ctx context.Context, name string, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, name string) error
}

// Leader runs what only one of several replicas may run. Its methods are safe for concurrent use.
type Leader struct {
	Store    LeaseStore
	Lease    string // its name
	SlowPoll time.Duration
	// Delay returns how long to wait after a number of failures in a row, by the class of the last one.
	Delay func(failures int, err error) time.Duration
	Log   zerolog.Logger

	leading atomic.Bool
	mu      sync.Mutex
	wakeups []Wakeup // of the running loops
}

// Leading reports whether this process holds the lease.
func (l *Leader) Leading() bool { return l.leading.Load() }

// Hold acquires and renews the lease until ctx ends, and then releases it, so that another replica can lead at
// once. It always returns nil.
func (l *Leader) Hold(ctx context.Context) error {
	defer l.resign(ctx)
	for ctx.Err() == nil {
		got, err := l.Store.AcquireLease(ctx, l.Lease, leaderTTL)
		if err != nil && ctx.Err() == nil {
			l.Log.Warn().Err(err).Msg("acquiring the leader lease failed")
		}
		if was := l.leading.Swap(got); got != was {
			l.Log.Info().Bool("leader", got).Msg("leadership changed")
			l.Signal()
		}
		if Pause(ctx, leaderRenew) != nil {
			return nil
		}
	}
	return nil
}

func (l *Leader) resign(ctx context.Context) {
	if !l.leading.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := l.Store.ReleaseLease(ctx, l.Lease); err != nil {
		l.Log.Warn().Err(err).Msg("releasing the leader lease failed; it ends by itself")
	}
}

// Signal wakes every loop of the leader.
func (l *Leader) Signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wakeups {
		w.Signal()
	}
}

// Run calls step while this process leads: on each wake-up, and after the wait that step returned. Failures of
// step, other than a refusal by the quota, are logged as "cannot <doing>" and retried after Delay. It returns nil when ctx ends.
func (l *Leader) Run(ctx context.Context, w Wakeup, doing string, step func(context.Context) (time.Duration, error)) error {
	l.mu.Lock()
	l.wakeups = append(l.wakeups, w)
	l.mu.Unlock()
	failures := 0
	for ctx.Err() == nil {
		wait := l.SlowPoll
		if l.Leading() {
			var err error
			var deferred *grant.Deferred
			switch wait, err = step(ctx); {
			case err == nil || ctx.Err() != nil:
				failures = 0
			case errors.As(err, &deferred): // the quota's refusal is a state, not a failure
				failures, wait = 0, UntilDeferred(deferred)
			default:
				failures++
				wait = l.Delay(failures, err)
				l.Log.Warn().Err(err).Dur("retry_in_ms", wait).Msgf("cannot %s", doing)
			}
		}
		if w.Wait(ctx, wait) != nil {
			return nil
		}
	}
	return nil
}
