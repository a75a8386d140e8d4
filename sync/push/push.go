package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/source"
)

// pushLease is how long the work of a killed process waits before another process takes it.
const pushLease = 20 * time.Second

// urlBatch is the number of download URLs that one request returns.
const urlBatch = 100

// Pusher carries out the placements of one target. Targets do not wait for each other.
type Pusher struct {
	Target   Target
	Instance string // marks objects at the target as ours
	Store    Store
	Source   *source.Source
	Rules    Rules
	Wakeup   loop.Wakeup
	SlowPoll time.Duration // how often work is looked for without a wake-up
	Log      zerolog.Logger

	usable atomic.Bool // Check has passed since the target last failed
}

// Run claims and carries out the target's dirty placements until ctx ends. It always returns nil.
func (p *Pusher) Run(ctx context.Context) error {
	workers := p.Target.Workers
	if workers == 0 {
		workers = 4
	}
	pool := loop.Pool{Claimer: p, Workers: workers, Wakeup: p.Wakeup, SlowPoll: p.SlowPoll, Log: p.Log}
	return pool.Run(ctx)
}

// Next implements loop.Claimer.
func (p *Pusher) Next(ctx context.Context) (time.Duration, bool, error) {
	if !p.Rules.Runs(p.Target.Rule) {
		return 0, false, nil
	}
	return p.Store.NextPlacement(ctx, p.Target.Name())
}

// Claim implements loop.Claimer.
func (p *Pusher) Claim(ctx context.Context, n int) ([]func(context.Context), error) {
	if !p.Rules.Runs(p.Target.Rule) {
		return nil, nil
	}
	name := p.Target.Name()
	if !p.usable.Load() {
		if due, waiting, err := p.Store.NextPlacement(ctx, name); err != nil || !waiting || due > 0 {
			return nil, err
		}
	}
	unusable := p.check(ctx) // before the claim, since it may take longer than a lease
	claimCtx, cancel := loop.ClaimContext(ctx)
	defer cancel()
	work, err := p.Store.ClaimPlacements(claimCtx, name, n, pushLease)
	if err != nil || len(work) == 0 {
		return nil, err
	}
	if unusable != nil {
		for _, w := range work {
			p.giveBack(ctx, w, unusable, true)
		}
		return nil, nil
	}
	p.prefetch(ctx, work)
	jobs := make([]func(context.Context), len(work))
	for i, w := range work {
		jobs[i] = func(ctx context.Context) { p.carryOut(ctx, w) }
	}
	return jobs, nil
}

// check asks the target whether it can be used, once until it fails again.
func (p *Pusher) check(ctx context.Context) error {
	if p.usable.Load() {
		return nil
	}
	populated, err := p.Store.HasPlacements(ctx, p.Target.Name())
	if err != nil {
		return err
	}
	switch err := p.Target.Adapter.Check(ctx, populated); {
	case err == nil:
		p.usable.Store(true)
		return nil
	case pausing(dam.Classify(err)), ctx.Err() != nil:
		return err
	default: // the check concerns the whole target, whatever the class
		return fmt.Errorf("%w: %w", dam.ErrUnavailable, err)
	}
}

// prefetch requests the download URLs of the claimed and the upcoming work with one request. When it fails, each placement
// requests its own.
func (p *Pusher) prefetch(ctx context.Context, work []state.Work) {
	class, lacking := grant.Class(""), false
	for _, w := range work {
		if needsBytes(w) && !p.Source.URLs.Has(w.AssetID) {
			class, lacking = w.Class, true
		}
	}
	if !lacking {
		return
	}
	ids, err := p.Store.UpcomingPuts(ctx, p.Target.Name(), urlBatch)
	if err != nil {
		p.Log.Debug().Err(err).Msg("listing upcoming placements failed")
	}
	for _, w := range work {
		ids = append(ids, w.AssetID)
	}
	ids = slices.DeleteFunc(ids, p.Source.URLs.Has)
	if len(ids) < 2 {
		return // a single one is requested where it is used
	}
	if err := p.Source.FetchURLs(ctx, class, ids[max(0, len(ids)-urlBatch):]); err != nil {
		p.Log.Debug().Err(err).Msg("fetching download URLs together failed")
	}
}

func needsBytes(w state.Work) bool {
	return w.Desired.Present && !fileless(w.Type) && (w.Desired.Version != w.Applied.Version || !w.Applied.Present())
}

// carryOut carries out one placement and records the outcome.
func (p *Pusher) carryOut(ctx context.Context, w state.Work) {
	started := time.Now()
	log := p.Log.With().Str("asset_id", w.AssetID).Int64("generation", w.Generation).Logger()
	leased, stop := p.keepLease(ctx, w)
	job := &placing{p: p, w: w, log: log}
	err := job.do(leased)
	if lost := context.Cause(leased); err != nil && errors.Is(lost, state.ErrLeaseLost) {
		err = lost
	}
	stop()
	if err == nil {
		log.Info().Str("did", job.did()).Str("path", job.applied.Path).Str("state", job.applied.State).
			Dur("took_ms", time.Since(started)).Dur("since_planned_ms", time.Since(w.DesiredAt)).Msg("placement in sync")
		return
	}
	p.giveBack(ctx, w, err, !job.touched)
}

// keepLease renews the lease while the placement is carried out. It ends the returned context when another worker
// has taken the work, or may have because the lease could not be renewed. The returned function waits for the last
// renewal.
func (p *Pusher) keepLease(ctx context.Context, w state.Work) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	until := time.Now().Add(pushLease)
	stop := loop.Renew(ctx, pushLease/4, func(ctx context.Context) {
		asked := time.Now()
		switch err := p.extend(ctx, w); {
		case err == nil:
			until = asked.Add(pushLease)
		case errors.Is(err, state.ErrLeaseLost):
			cancel(err)
		case time.Now().Add(pushLease / 4).After(until):
			cancel(fmt.Errorf("%w: it cannot be renewed: %w", state.ErrLeaseLost, err))
		}
	})
	return ctx, func() { cancel(nil); stop() }
}

func (p *Pusher) extend(ctx context.Context, w state.Work) error {
	ctx, cancel := context.WithTimeout(ctx, pushLease/4)
	defer cancel()
	return p.Store.ExtendPlacement(ctx, w, pushLease)
}
