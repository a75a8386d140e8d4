package cmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"damsync/internal/retryafter"
)

const (
	maxAttempts = 5
	// maxWait is the longest pause that a call waits for. After a longer one it returns
	// and leaves the wait to its caller.
	maxWait = 2 * time.Minute
	// minPause and maxPause bound the pauses after a 429 that names none; minPause also
	// bounds the pauses that the API asks for.
	minPause = time.Second
	maxPause = time.Minute
)

// retryTransport repeats attempts that failed temporarily, with full jitter. It passes
// the pauses that the API asks for to all processes.
type retryTransport struct {
	next    http.RoundTripper
	grants  Grants
	log     zerolog.Logger
	unnamed unnamedPause
}

// RoundTrip returns only answers that the call accepts. All others are errors with a
// class.
func (t *retryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	return backoff.Retry(ctx, func() (*http.Response, error) {
		resp, err := t.attempt(req)
		if err != nil && !repeatable(ctx, err) {
			return nil, backoff.Permanent(err)
		}
		return resp, err
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxTries(maxAttempts), backoff.WithMaxElapsedTime(0))
}

// newBackOff draws each wait from zero to twice 1, 2, 4, 8 s.
func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.RandomizationFactor, b.MaxInterval = time.Second, 2, 1, 15*time.Second
	return b
}

// repeatable reports whether this call may repeat a failed attempt. Two temporary
// failures are not for it to repeat: a long pause, and a redirect, which is a matter of
// configuration.
func repeatable(ctx context.Context, err error) bool {
	var long *pausedError
	var api *APIError
	redirect := errors.As(err, &api) && api.Status < 400
	return ctx.Err() == nil && errors.Is(err, ErrTemporary) && !redirect && !errors.As(err, &long)
}

// attempt sends once and classifies the answer.
func (t *retryTransport) attempt(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if err := classify(callOf(req.Context()), resp, body); err != nil {
		return nil, t.pause(req.Context(), resp, err)
	}
	t.unnamed.reset(time.Now())
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// pause pauses all requests when the answer asks for it. It returns err, the answer's
// error, together with the wait.
func (t *retryTransport) pause(ctx context.Context, resp *http.Response, err error) error {
	now := time.Now()
	throttled := resp.StatusCode == http.StatusTooManyRequests
	d, named := retryafter.Parse(resp.Header.Get("Retry-After"), dateOf(resp.Header, now))
	switch {
	case !throttled && resp.StatusCode != http.StatusServiceUnavailable, !throttled && !named:
		return err
	case named:
		d = max(d, minPause)
	default:
		d = t.unnamed.next(now)
	}
	if perr := t.pauseAll(ctx, resp.StatusCode, d); perr != nil {
		return fmt.Errorf("%w (and the pause it asks for failed: %w)", err, perr)
	}
	if d > maxWait {
		return &pausedError{err: err, d: d}
	}
	return fmt.Errorf("%w (%w)", err, &backoff.RetryAfterError{Duration: d})
}

// pauseAll passes a pause to all processes. A 429 also lowers the pace: every request
// had a grant, so the pace was kept.
func (t *retryTransport) pauseAll(ctx context.Context, status int, d time.Duration) error {
	reason := fmt.Sprintf("the API answered %d", status)
	if status != http.StatusTooManyRequests {
		return t.grants.Pause(ctx, d, reason)
	}
	pace, err := t.grants.Throttled(ctx, d, reason)
	if err == nil && pace.Lowered {
		t.log.Warn().Float64("pace_share", pace.Share).Dur("pause_ms", d).
			Msg("the API throttles although the pace was kept: another client spends the organization's requests, or cmp.requests_per_second is too high; lowering the pace")
	}
	return err
}

// pausedError is a throttling that outlasts maxWait.
type pausedError struct {
	err error
	d   time.Duration
}

func (e *pausedError) Error() string { return fmt.Sprintf("%v (paused for %s)", e.err, e.d) }
func (e *pausedError) Unwrap() error { return e.err }

// unnamedPause chooses the pause after a 429 without Retry-After. It doubles each
// time, but requests that were in flight together take one step together.
type unnamedPause struct {
	mu    sync.Mutex
	last  time.Duration
	until time.Time
}

// next returns the pause for a 429 at now.
func (p *unnamedPause) next(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.until) {
		return p.until.Sub(now)
	}
	p.last = min(max(2*p.last, minPause), maxPause)
	p.until = now.Add(p.last)
	return p.last
}

// reset ends the doubling after a success, unless the pause is still in force.
func (p *unnamedPause) reset(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !now.Before(p.until) {
		p.last = 0
	}
}
