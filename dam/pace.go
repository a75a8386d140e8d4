package dam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace lets at most perSecond calls a second through, in bursts of as many as
// a second allows; 0 sets no limit. Throttled makes all calls of this adapter
// wait, as long as the target said or a growing time; each time the rate is
// halved, and it grows back while calls succeed. A wait of more than ten seconds
// is not sat out: calls are refused as Throttled with what is left of it, so
// that the caller can let go of its work meanwhile. Every adapter paced is on
// its own, so a target that throttles slows no other.
func Pace(next Adapter, perSecond float64) Adapter {
	p := &pacer{ceiling: rate.Inf}
	burst := 1
	if perSecond > 0 {
		p.ceiling = rate.Limit(perSecond)
		burst = max(1, int(perSecond))
	}
	p.limiter = rate.NewLimiter(p.ceiling, burst)
	return wrap{next, p.call}
}

const (
	firstPause   = time.Second
	longestPause = time.Minute
	slowest      = 64  // part of the ceiling
	growth       = 100 // successes from a standstill to the ceiling
)

type pacer struct {
	limiter *rate.Limiter
	ceiling rate.Limit

	mu     sync.Mutex
	slowed time.Time // when the target last throttled
	until  time.Time // nothing is sent before
	pauses int       // without a success since
}

func (p *pacer) call(ctx context.Context, _ *trace, do func() error) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	began := time.Now()
	err := do()
	var throttled *Throttled
	switch {
	case errors.As(err, &throttled):
		p.slow(began, throttled.RetryAfter)
	case err == nil:
		p.speedUp()
	}
	return err
}

// wait fails as ErrTemporary where the context leaves no time for the turn:
// nothing was sent.
func (p *pacer) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		pause := time.Until(p.until)
		p.mu.Unlock()
		if pause <= 0 {
			break
		}
		if pause > longestWait {
			return &Throttled{RetryAfter: pause}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for a throttled target: %w", ctx.Err())
		case <-timer.C:
		}
	}
	if err := p.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the turn: %w", ctx.Err())
		}
		return fmt.Errorf("wait for the turn: %w: %w", ErrTemporary, err)
	}
	return nil
}

// slow is called for each refusal. Those of calls that were on their way when
// the pace was slowed already say nothing new.
func (p *pacer) slow(began time.Time, retryAfter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.slowed.Before(began) || p.slowed.IsZero() {
		p.slowed = now
		pause := min(firstPause<<min(p.pauses, 10), longestPause)
		p.pauses++
		p.until = now.Add(max(pause, retryAfter))
		if p.ceiling != rate.Inf {
			p.limiter.SetLimit(max(p.limiter.Limit()/2, p.ceiling/slowest))
		}
		return
	}
	if later := now.Add(retryAfter); later.After(p.until) {
		p.until = later
	}
}

func (p *pacer) speedUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauses = 0
	if p.limiter.Limit() < p.ceiling {
		p.limiter.SetLimit(min(p.limiter.Limit()+p.ceiling/growth, p.ceiling))
	}
}
