package sync

import (
	"context"
	"time"
)

// Step is one turn of a loop that observes the library: it does what is due and says how long
// it would then wait. Rung tells, once, that something asks for the next turn now.
type Step struct {
	Name string
	Run  func(context.Context) (time.Duration, error)
	Rung func() bool
}

// Steps are the loops of a leader that observe the library, one turn at a time, for who drives
// the engine by another clock than the machine's. The engine must not serve meanwhile. Nothing is
// read before CheckRules has found names.
func (e *Engine) Steps() ([]Step, error) {
	poll, err := parseSchedule("incremental", e.opts.Schedule.Incremental)
	if err != nil {
		return nil, err
	}
	windows, err := parseSchedule("audit", e.opts.Schedule.Audit)
	if err != nil {
		return nil, err
	}
	return []Step{
		{"lookup", e.lookupStep, e.bells.lookup.rung},
		{"burst", e.burstStep, e.bells.burst.rung},
		{"incremental", func(ctx context.Context) (time.Duration, error) { return e.pollStep(ctx, poll) }, e.bells.poll.rung},
		{"audit", func(ctx context.Context) (time.Duration, error) { return e.auditStep(ctx, windows) }, e.bells.audit.rung},
	}, nil
}

// lookupStep reads the assets that are due, one after the other.
func (e *Engine) lookupStep(ctx context.Context) (time.Duration, error) {
	refused, _ := e.trouble.refused()
	claims, err := e.store.ClaimLookups(ctx, e.opts.LookupWorkers, lookupLease, refused...)
	for _, l := range claims {
		e.lookup(ctx, l)
	}
	if err != nil || len(claims) > 0 {
		return 0, err
	}
	due, any, err := e.store.NextLookup(ctx, refused...)
	if err != nil || !any {
		return e.opts.SlowPoll, err
	}
	return min(due, e.opts.SlowPoll), nil
}
