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
	// longestWait limits the wait within a call that a target may ask for. After
	// more than that the core returns to the target later.
	longestWait = 10 * time.Second
)

// Retry repeats calls that fail with ErrTemporary, or with Throttled and a short
// wait, a few times with growing pauses. The contract of Adapter allows each call
// to be repeated. Errors of other classes, a listing that has begun, and the last
// failure are returned unchanged.
func Retry(next Adapter) Adapter { return retrying{wrap{next, retry}} }

// retry does not repeat a listing that has given answers: they would come twice.
func retry(ctx context.Context, t *trace, do func() error) error {
	var broken error
	err := Repeat(ctx, func() error {
		err := do()
		if t.listed > 0 {
			broken = err
			return nil
		}
		return err
	})
	if broken != nil {
		return broken
	}
	return err
}

type retrying struct{ wrap }

// Put repeats with the session that the attempt before has saved.
func (r retrying) Put(ctx context.Context, obj Object, current Remote) (Remote, error) {
	if save := obj.Upload.Save; save != nil {
		obj.Upload.Save = func(ctx context.Context, session []byte) error {
			obj.Upload.Session = bytes.Clone(session)
			return save(ctx, session)
		}
	}
	return r.remote(ctx, trace{op: OpPut}, func() (Remote, error) { return r.next.Put(ctx, obj, current) })
}

// Repeat does what Retry does for one request of a call that Retry cannot repeat:
// a listing that has begun. do must be repeatable.
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

// repeatable returns err in the form that makes backoff repeat, wait or give up.
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
