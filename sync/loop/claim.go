package loop

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Claimer hands out work that is claimed from the database.
type Claimer interface {
	// Claim leases up to n pieces of work and returns a job for each.
	Claim(ctx context.Context, n int) ([]func(context.Context), error)
	// Next returns how long it takes until the next waiting piece is due, and whether there is one.
	Next(ctx context.Context) (time.Duration, bool, error)
}

// Pool claims as much work as it has idle workers and runs it.
type Pool struct {
	Claimer  Claimer
	Workers  int
	Wakeup   Wakeup
	SlowPoll time.Duration // how often the pool looks for work without a wake-up
	Log      zerolog.Logger
}

// Run claims and runs work until ctx ends, then waits for the jobs in flight. While there is no work it sleeps
// until a wake-up, until the next piece is due, or for SlowPoll. A failing database makes it wait, not end. It
// always returns nil.
func (p *Pool) Run(ctx context.Context) error {
	idle := make(chan struct{}, p.Workers)
	var running sync.WaitGroup
	defer running.Wait()
	for range p.Workers {
		idle <- struct{}{}
	}
	failures, empty := 0, 0
	for ctx.Err() == nil {
		free, err := takeIdle(ctx, idle)
		if err != nil {
			return nil
		}
		jobs, err := p.Claimer.Claim(ctx, free)
		if err != nil && ctx.Err() == nil {
			failures++
			p.Log.Warn().Err(err).Msg("claiming work failed")
			jobs = nil
		}
		p.start(ctx, &running, idle, jobs)
		for range free - len(jobs) {
			idle <- struct{}{}
		}
		if len(jobs) > 0 {
			failures, empty = 0, 0
			continue
		}
		wait := p.wait(ctx, err != nil, failures, empty)
		empty++
		if err := p.Wakeup.Wait(ctx, wait); err != nil {
			return nil
		}
	}
	return nil
}

func (p *Pool) start(ctx context.Context, running *sync.WaitGroup, idle chan struct{}, jobs []func(context.Context)) {
	for _, job := range jobs {
		running.Go(func() {
			// Work that the job gave back, or that was requested again meanwhile, may be due before
			// anything the pool knew of when it went to sleep.
			defer p.Wakeup.Signal()
			defer func() { idle <- struct{}{} }()
			job(ctx)
		})
	}
}

// takeIdle waits for one idle worker and takes all idle ones.
func takeIdle(ctx context.Context, idle chan struct{}) (int, error) {
	select {
	case <-idle:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for n := 1; ; n++ {
		select {
		case <-idle:
		default:
			return n, nil
		}
	}
}

// wait returns how long to sleep. Work that looks due again and again but cannot be claimed is looked for less
// and less often.
func (p *Pool) wait(ctx context.Context, failed bool, failures, empty int) time.Duration {
	if failed {
		return RetryDelay(failures, p.SlowPoll)
	}
	due, waiting, err := p.Claimer.Next(ctx)
	if err != nil || !waiting {
		return p.SlowPoll
	}
	return min(max(due, 5*time.Millisecond<<min(empty, 8)), p.SlowPoll)
}

// ClaimContext returns a context for a claim, which must not be broken off when ctx ends: the database may have
// made the claim already, and work that this process does not know of cannot be given back.
func ClaimContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
