package dam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	retryTries   = 4
	retryFirst   = 250 * time.Millisecond
	retryLongest = 5 * time.Second
	// longestWait is the longest wait a target may ask for that is still waited
	// for within a call; the core has the target wait for more.
	longestWait = 10 * time.Second
)

// Retry repeats calls that met ErrTemporary, or Throttled with a short wait, a
// few times with growing pauses. By the contract of Adapter every call may be
// repeated. Other classes and a listing that has begun are passed on as they are,
// and so is the last failure.
func Retry(next Adapter) Adapter {
	return retrying{wrap{next, func(ctx context.Context, _ Op, do func() error) error { return Repeat(ctx, do) }}}
}

type retrying struct{ wrap }

// Put repeats with the session that the attempt before saved.
func (r retrying) Put(ctx context.Context, obj Object, current Remote) (Remote, error) {
	if save := obj.Upload.Save; save != nil {
		obj.Upload.Save = func(ctx context.Context, session []byte) error {
			obj.Upload.Session = bytes.Clone(session)
			return save(ctx, session)
		}
	}
	return r.remote(ctx, OpPut, func() (Remote, error) { return r.next.Put(ctx, obj, current) })
}

// Repeat does what Retry does, for one step of many that an adapter takes within
// a call which Retry cannot repeat: a listing that has begun. do has to be a
// step that may be repeated.
func Repeat(ctx context.Context, do func() error) error {
	curve := backoff.NewExponentialBackOff()
	curve.InitialInterval, curve.MaxInterval = retryFirst, retryLongest
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = do()
		return struct{}{}, repeatable(last)
	}, backoff.WithBackOff(curve), backoff.WithMaxTries(retryTries), backoff.WithMaxElapsedTime(0))
	if err != nil && ctx.Err() != nil && !errors.Is(last, ctx.Err()) {
		return fmt.Errorf("%w while repeating after: %w", ctx.Err(), last)
	}
	return last
}

// repeatable gives err in the form that tells backoff what to do about it.
func repeatable(err error) error {
	var throttled *Throttled
	switch {
	case err == nil:
		return nil
	case errors.As(err, &throttled) && throttled.RetryAfter > longestWait:
		return backoff.Permanent(err)
	case throttled != nil && throttled.RetryAfter > 0:
		return &backoff.RetryAfterError{Duration: throttled.RetryAfter}
	case throttled != nil, Classify(err) == ClassTemporary:
		return err
	}
	return backoff.Permanent(err)
}
