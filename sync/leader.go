package sync

import (
	"context"
	"errors"
	"time"

	"damsync/cmp"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/walk"
)

const (
	leaderTTL   = 15 * time.Second
	leaderRenew = 5 * time.Second
)

// lead keeps the leader's lease while it can; e.leading tells the loops.
func (e *Engine) lead(ctx context.Context) error {
	defer e.resign(ctx)
	for ctx.Err() == nil {
		got, err := e.store.AcquireLease(ctx, state.LeaseLeader, leaderTTL)
		if err != nil && ctx.Err() == nil {
			e.log.Warn().Err(err).Msg("lead cannot be taken")
		}
		if was := e.leading.Swap(got); got != was {
			e.log.Info().Bool("leader", got).Msg("lead changed")
			e.bells.ringLeader()
		}
		if pause(ctx, leaderRenew) != nil {
			return nil
		}
	}
	return nil
}

// resign lets another replica lead at once instead of when the lease ends.
func (e *Engine) resign(ctx context.Context) {
	if !e.leading.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := e.store.ReleaseLease(ctx, state.LeaseLeader); err != nil {
		e.log.Warn().Err(err).Msg("lead cannot be given back; its lease will end")
	}
}

// onLeader runs step while this process leads: when the bell rings, and after
// the wait that step asks for.
func (e *Engine) onLeader(ctx context.Context, b bell, doing string, step func(context.Context) (time.Duration, error)) error {
	failures := 0
	for ctx.Err() == nil {
		wait := e.opts.SlowPoll
		if e.leading.Load() {
			var err error
			wait, err = step(ctx)
			if err != nil && ctx.Err() == nil {
				failures++
				wait = leaderDelay(failures, err)
				e.log.Warn().Err(err).Dur("retry_in_ms", wait).Msgf("cannot %s", doing)
			} else {
				failures = 0
			}
		}
		if b.wait(ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

// leaderDelay is how long to wait after failures in a row. An attempt that fails at the
// library has cost requests, of which a long outage must not eat the month; one at
// the login has cost none.
func leaderDelay(failures int, err error) time.Duration {
	var login *cmp.AuthError
	switch {
	case errors.As(err, &login):
		return retryDelay(failures, 30*time.Second)
	case errors.Is(err, audit.ErrUncountable):
		return retryDelay(11+failures, 12*time.Hour) // it is the library's nature, and each try costs requests
	case errors.Is(err, ErrTooManySuspects):
		return retryDelay(8+failures, 12*time.Hour) // it has cost a whole sweep
	case atLibrary(err):
		return retryDelay(failures, 5*time.Minute)
	default:
		return retryDelay(failures, 30*time.Second)
	}
}

// atLibrary tells failures of the CMP from those of the database.
func atLibrary(err error) bool {
	for _, class := range []error{
		cmp.ErrTemporary, cmp.ErrAuth, cmp.ErrForbidden, cmp.ErrNotFound, cmp.ErrBareNotFound, cmp.ErrBadRequest, cmp.ErrForeignHost, walk.ErrUnstable, state.ErrEmptyListing,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}
