package dam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace passes at most perSecond calls a second to next, in bursts of up to one
// second's worth; 0 sets no limit. After a Throttled error all calls of this adapter
// wait, as long as the target asked or for a growing time. Each such error halves the
// rate, which grows back while calls succeed. Calls do not wait for more than ten
// seconds: they fail as Throttled with the remaining time, so that the caller can
// release its work meanwhile. A target that throttles slows no other target.
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
	slowest      = 64  // the lowest rate is the ceiling divided by it
	growth       = 100 // successes from zero to the ceiling
)

type pacer struct {
	limiter *rate.Limiter
	ceiling rate.Limit

	mu     sync.Mutex
	slowed time.Time // when the target last throttled
	until  time.Time // no call before
	pauses int       // since the last success
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

// wait waits for the turn of a call. It is ErrTemporary when the context leaves no
// time for it: nothing was sent.
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
			return fmt.Errorf("wait for a turn: %w", ctx.Err())
		}
		return fmt.Errorf("wait for a turn: %w: %w", ErrTemporary, err)
	}
	return nil
}

// slow handles a Throttled error. Errors of calls that were in flight when the rate was
// last reduced do not reduce it again.
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

// speedUp handles a success.
func (p *pacer) speedUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauses = 0
	if p.limiter.Limit() < p.ceiling {
		p.limiter.SetLimit(min(p.limiter.Limit()+p.ceiling/growth, p.ceiling))
	}
}
