package sync

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
)

// pushLease is how long the work of a killed process waits for another.
const pushLease = 20 * time.Second

// pusher brings the placements of one target into their place.
type pusher struct {
	e      *Engine
	target Target
	log    zerolog.Logger
	usable atomic.Bool // Check has passed since the target last failed
}

func (e *Engine) pusher(t Target) *pusher {
	return &pusher{e: e, target: t, log: e.log.With().Str("target", t.Rule.Name()).Logger()}
}

// pushing claims the target's dirty placements until ctx ends. Targets do not
// wait for each other.
func (p *pusher) run(ctx context.Context) error {
	workers := p.target.Workers
	if workers == 0 {
		workers = 4
	}
	name := p.target.Rule.Name()
	return p.e.claimLoop(ctx, p.e.bells.placement[name], workers, claimer{
		claim: p.claim,
		next: func(ctx context.Context) (time.Duration, bool, error) {
			if !p.active() {
				return 0, false, nil
			}
			return p.e.store.NextPlacement(ctx, name)
		},
	})
}

func (p *pusher) claim(ctx context.Context, n int) ([]func(context.Context), error) {
	if !p.active() {
		return nil, nil
	}
	name := p.target.Rule.Name()
	if !p.usable.Load() {
		if due, any, err := p.e.store.NextPlacement(ctx, name); err != nil || !any || due > 0 {
			return nil, err
		}
	}
	unusable := p.check(ctx) // before the claim, since it may take longer than a lease
	atomic, cancel := claiming(ctx)
	defer cancel()
	work, err := p.e.store.ClaimPlacements(atomic, name, n, pushLease)
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
		jobs[i] = func(ctx context.Context) { p.work(ctx, w) }
	}
	return jobs, nil
}

func (p *pusher) active() bool {
	for _, rule := range p.e.rules() {
		if rule == p.target.Rule {
			return true
		}
	}
	return false
}

// check asks the target whether it can be used, once until it fails again.
func (p *pusher) check(ctx context.Context) error {
	if p.usable.Load() {
		return nil
	}
	populated, err := p.e.store.HasPlacements(ctx, p.target.Rule.Name())
	if err != nil {
		return err
	}
	switch err := p.target.Adapter.Check(ctx, populated); {
	case err == nil:
		p.usable.Store(true)
		return nil
	case pausing(dam.Classify(err)), ctx.Err() != nil:
		return err
	default: // whatever it is, it is no single asset's
		return fmt.Errorf("%w: %w", dam.ErrUnavailable, err)
	}
}

// work does one placement and records what became of it.
func (p *pusher) work(ctx context.Context, w state.Work) {
	started := time.Now()
	log := p.log.With().Str("asset_id", w.AssetID).Int64("generation", w.Generation).Logger()
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

// keepLease renews the lease while a long upload goes on, and ends the context
// when another worker has taken it or may have, since it could not be renewed.
// The function returned waits for the renewal to end.
func (p *pusher) keepLease(ctx context.Context, w state.Work) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	until := time.Now().Add(pushLease)
	stop := renewing(ctx, pushLease/4, func(ctx context.Context) {
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

func (p *pusher) extend(ctx context.Context, w state.Work) error {
	ctx, cancel := context.WithTimeout(ctx, pushLease/4)
	defer cancel()
	return p.e.store.ExtendPlacement(ctx, w, pushLease)
}

// giveBack records a failure by its class: some make the target wait, some the
// asset alone. untouched says that the target holds what it held before.
func (p *pusher) giveBack(ctx context.Context, w state.Work, err error, untouched bool) {
	ending := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var deferred *grant.Deferred
	var again *recheck
	var recorded error
	log := p.log.With().Str("asset_id", w.AssetID).Int64("generation", w.Generation).Logger()
	switch {
	case errors.Is(err, state.ErrLeaseLost):
		log.Info().Msg("another worker has taken the placement over")
		return
	case errors.As(err, &deferred):
		p.e.deferred.Store(deferred)
		recorded = p.e.store.ReturnPlacement(ctx, w, spread(w.Class, untilDeferred(deferred)))
	case errors.As(err, &again):
		recorded = p.e.store.ReturnPlacement(ctx, w, again.after)
	case ending:
		recorded = p.e.store.ReturnPlacement(ctx, w, 0)
	default:
		recorded = p.recordFailure(ctx, w, err, untouched, log)
	}
	if recorded != nil && !errors.Is(recorded, state.ErrLeaseLost) {
		log.Warn().Err(recorded).Msg("outcome cannot be recorded; the lease will end")
	}
}

func (p *pusher) recordFailure(ctx context.Context, w state.Work, err error, untouched bool, log zerolog.Logger) error {
	class := dam.Classify(err)
	if class == dam.ClassSource {
		p.e.urls.drop(w.AssetID)
		if err := p.readAgain(ctx, w); err != nil {
			return err
		}
	}
	after := placementDelay(class, w.Attempts)
	if pausing(class) {
		p.usable.Store(false)
		var throttled *dam.Throttled
		least := time.Duration(0)
		if errors.As(err, &throttled) {
			least = throttled.RetryAfter
		}
		pause, pauseErr := p.e.store.PauseTarget(ctx, p.target.Rule.Name(), err.Error(), least)
		if pauseErr != nil {
			return pauseErr
		}
		after = pause
	}
	log.Warn().Err(err).Str("error_class", string(class)).Int("attempt", w.Attempts).Dur("retry_in_ms", after).Msg("placement failed")
	return p.e.store.FailPlacement(ctx, w, string(class), err.Error(), after, untouched)
}

// pausing tells the classes that concern the whole target.
func pausing(class dam.Class) bool {
	return class == dam.ClassUnavailable || class == dam.ClassAuth || class == dam.ClassThrottled
}

// readAgain has the asset read once more when its bytes go on failing: the size
// that was promised may be what is wrong. Each time it waits for twice as many
// attempts, for an asset that stays broken must not eat the month.
func (p *pusher) readAgain(ctx context.Context, w state.Work) error {
	if w.Attempts < 2 || w.Attempts&(w.Attempts-1) != 0 {
		return nil
	}
	return p.e.store.WantLookups(ctx, state.Observation{Kind: state.KindDetail}, grant.Detail, false, []state.Ref{{ID: w.AssetID, Type: w.Type}})
}

// placementDelay backs off by class: what passes by itself soon, what waits for a
// person seldom.
func placementDelay(class dam.Class, attempts int) time.Duration {
	switch class {
	case dam.ClassConflict, dam.ClassForeign:
		return retryDelay(5+attempts, 10*time.Minute)
	case dam.ClassInvalid:
		return retryDelay(7+attempts, 6*time.Hour)
	default:
		return retryDelay(attempts, 5*time.Minute)
	}
}
