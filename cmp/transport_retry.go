package cmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"damsync/internal/retryafter"
)

const (
	maxAttempts = 5
	// patience is the longest pause that a call waits for. A longer one is the caller's
	// to know about.
	patience = 2 * time.Minute
)

// retry repeats attempts whose failure is temporary, with full jitter. It passes
// pauses that the API asks for to everybody.
type retry struct {
	next     http.RoundTripper
	grants   Grants
	log      zerolog.Logger
	throttle throttle
}

// RoundTrip returns only answers that the call accepts; all others are errors with
// a class.
func (t *retry) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	return backoff.Retry(ctx, func() (*http.Response, error) {
		resp, err := t.attempt(req)
		if err != nil && !repeatable(ctx, err) {
			return nil, backoff.Permanent(err)
		}
		return resp, err
	}, backoff.WithBackOff(curve()), backoff.WithMaxTries(maxAttempts), backoff.WithMaxElapsedTime(0))
}

// curve draws each wait from zero to twice 1, 2, 4, 8 s.
func curve() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.RandomizationFactor, b.MaxInterval = time.Second, 2, 1, 15*time.Second
	return b
}

// repeatable leaves out what is temporary but not for this call: a long pause, and a
// redirect, which is a setting and not a fault.
func repeatable(ctx context.Context, err error) bool {
	var long *pausedError
	var api *APIError
	redirect := errors.As(err, &api) && api.Status < 400
	return ctx.Err() == nil && errors.Is(err, ErrTemporary) && !redirect && !errors.As(err, &long)
}

// attempt sends once and judges the answer.
func (t *retry) attempt(req *http.Request) (*http.Response, error) {
	one := callOf(req.Context())
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if err := judge(one, resp, body); err != nil {
		return nil, t.pause(req.Context(), resp, err)
	}
	t.throttle.pass(time.Now())
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// pause makes everybody wait when the answer asks for it, and returns the answer's
// error with what is known of the wait.
func (t *retry) pause(ctx context.Context, resp *http.Response, err error) error {
	throttled := resp.StatusCode == http.StatusTooManyRequests
	d, told := retryafter.Parse(resp.Header.Get("Retry-After"), dateOf(resp.Header, time.Now()))
	d = max(d, minPause)
	switch {
	case !throttled && resp.StatusCode != http.StatusServiceUnavailable, !throttled && !told:
		return err
	case !told:
		d = t.throttle.hit(time.Now())
	}
	if perr := t.tell(ctx, resp.StatusCode, d); perr != nil {
		return fmt.Errorf("%w (and the pause it asks for failed: %w)", err, perr)
	}
	if d > patience {
		return &pausedError{err: err, d: d}
	}
	return fmt.Errorf("%w (%w)", err, &backoff.RetryAfterError{Duration: d})
}

// tell passes the pause on. A 429 is none of our doing, since every request had a grant.
func (t *retry) tell(ctx context.Context, status int, d time.Duration) error {
	reason := fmt.Sprintf("the API answered %d", status)
	if status != http.StatusTooManyRequests {
		return t.grants.Pause(ctx, d, reason)
	}
	lowered, err := t.grants.Throttled(ctx, d, reason)
	if err == nil && lowered.Lowered {
		t.log.Warn().Float64("pace_share", lowered.Share).Dur("pause_ms", d).
			Msg("the API throttles although the pace was kept: someone else is spending the organization's requests, or cmp.requests_per_second is too high; the pace is lowered")
	}
	return err
}

// pausedError is a throttling that outlasts the patience of one call.
type pausedError struct {
	err error
	d   time.Duration
}

func (e *pausedError) Error() string { return fmt.Sprintf("%v (paused for %s)", e.err, e.d) }
func (e *pausedError) Unwrap() error { return e.err }
