package sync

import (
	"context"
	"sync"
	"time"
)

// claimer hands out work that is claimed from the database.
type claimer struct {
	// claim takes up to n pieces of work.
	claim func(ctx context.Context, n int) ([]func(context.Context), error)
	// next tells when the next piece that waits comes due.
	next func(ctx context.Context) (time.Duration, bool, error)
}

// claimLoop claims as much as there are idle workers, and sleeps while there is
// nothing: until the bell, until the next piece comes due, or for the slow poll.
// At the end it waits for the work in flight. A database that is away makes
// it wait, not end.
func (e *Engine) claimLoop(ctx context.Context, b bell, workers int, c claimer) error {
	idle := make(chan struct{}, workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range workers {
		idle <- struct{}{}
	}
	failures, empty := 0, 0
	for ctx.Err() == nil {
		free, err := takeIdle(ctx, idle)
		if err != nil {
			return nil
		}
		jobs, err := c.claim(ctx, free)
		if err != nil && ctx.Err() == nil {
			failures++
			e.log.Warn().Err(err).Msg("work cannot be claimed")
			jobs = nil
		}
		for _, job := range jobs {
			wg.Go(func() {
				// What a job gave back, or what was wanted once more meanwhile, may be due
				// before anything the loop knew of when it went to sleep.
				defer b.ring()
				defer func() { idle <- struct{}{} }()
				job(ctx)
			})
		}
		for range free - len(jobs) {
			idle <- struct{}{}
		}
		if len(jobs) > 0 {
			failures, empty = 0, 0
			continue
		}
		wait := e.nextWait(ctx, c, err != nil, failures, empty)
		empty++
		if err := b.wait(ctx, wait); err != nil {
			return nil
		}
	}
	return nil
}

// claiming bounds a claim that is not broken off when ctx ends: the database may
// have made it already, and what nobody knows of cannot be given back.
func claiming(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}

// takeIdle waits for one idle worker and takes all that are.
func takeIdle(ctx context.Context, idle chan struct{}) (int, error) {
	select {
	case <-idle:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n := 1
	for {
		select {
		case <-idle:
			n++
		default:
			return n, nil
		}
	}
}

// nextWait is how long to sleep. What seems due and cannot be claimed, again and again, is
// looked for less and less often.
func (e *Engine) nextWait(ctx context.Context, c claimer, failed bool, failures, empty int) time.Duration {
	if failed {
		return retryDelay(failures, e.opts.SlowPoll)
	}
	due, any, err := c.next(ctx)
	if err != nil || !any {
		return e.opts.SlowPoll
	}
	return min(max(due, 5*time.Millisecond<<min(empty, 8)), e.opts.SlowPoll)
}
