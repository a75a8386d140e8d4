// Package loop holds what every long-running part of the engine is made of: wake-ups, a loop that claims work
// from the database, a loop that only the leader runs, lease renewal and back-off.
//
// A wake-up is a hint. Every loop also looks for work by itself, so a lost wake-up delays work and loses none.
package loop

import (
	"context"
	"math/rand/v2"
	"time"
)

// Wakeup wakes one loop. Signals that arrive while the loop works count as one. Signal never blocks.
type Wakeup chan struct{}

// NewWakeup returns a wake-up that nothing has signaled.
func NewWakeup() Wakeup { return make(Wakeup, 1) }

// Signal wakes the loop, at once or when it next waits.
func (w Wakeup) Signal() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// Take consumes a pending signal and reports whether there was one.
func (w Wakeup) Take() bool {
	select {
	case <-w:
		return true
	default:
		return false
	}
}

// Wait returns nil after a signal or after d, and ctx's error when ctx ends first.
func (w Wakeup) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-w:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause returns nil after d, or ctx's error when ctx ends first.
func Pause(ctx context.Context, d time.Duration) error { return NewWakeup().Wait(ctx, d) }

// Renew calls renew repeatedly, each time after a pause of interval, until ctx ends or stop is called. stop waits
// for the last call to return.
func Renew(ctx context.Context, interval time.Duration, renew func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for Pause(ctx, interval) == nil {
			renew(ctx)
		}
	}()
	return func() { cancel(); <-done }
}

// RetryDelay returns how long to wait after the given number of failures in a row: one second, doubled by each
// further failure up to limit. Jitter of up to one half keeps many failures from coming back at once.
func RetryDelay(failures int, limit time.Duration) time.Duration {
	d := min(time.Second<<min(max(failures-1, 0), 20), limit)
	return d/2 + rand.N(d/2+1)
}
