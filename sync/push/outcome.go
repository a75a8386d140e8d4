package push

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
)

// giveBack records a failure by its class: some make the whole target wait, others only the asset. untouched states that
// the attempt changed nothing at the target.
func (p *Pusher) giveBack(ctx context.Context, w state.Work, err error, untouched bool) {
	ending := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var deferred *grant.Deferred
	var again *recheck
	var recorded error
	log := p.Log.With().Str("asset_id", w.AssetID).Int64("generation", w.Generation).Logger()
	switch {
	case errors.Is(err, state.ErrLeaseLost):
		log.Info().Msg("another worker took over the placement")
		return
	case errors.As(err, &deferred):
		p.Source.NoteDeferred(deferred)
		recorded = p.Store.ReturnPlacement(ctx, w, loop.Spread(w.Class, loop.UntilDeferred(deferred)))
	case errors.As(err, &again):
		recorded = p.Store.ReturnPlacement(ctx, w, again.after)
	case ending:
		recorded = p.Store.ReturnPlacement(ctx, w, 0)
	default:
		recorded = p.recordFailure(ctx, w, err, untouched, log)
	}
	if recorded != nil && !errors.Is(recorded, state.ErrLeaseLost) {
		log.Warn().Err(recorded).Msg("recording the outcome failed; the lease ends by itself")
	}
}

func (p *Pusher) recordFailure(ctx context.Context, w state.Work, err error, untouched bool, log zerolog.Logger) error {
	class := dam.Classify(err)
	if class == dam.ClassSource {
		p.Source.URLs.Drop(w.AssetID)
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
		pause, pauseErr := p.Store.PauseTarget(ctx, p.Target.Name(), err.Error(), least)
		if pauseErr != nil {
			return pauseErr
		}
		after = pause
	}
	log.Warn().Err(err).Str("error_class", string(class)).Int("attempt", w.Attempts).Dur("retry_in_ms", after).Msg("placement failed")
	return p.Store.FailPlacement(ctx, w, state.Failure{Class: string(class), Reason: err.Error(), After: after}, untouched)
}

// pausing reports whether failures of a class concern the whole target.
func pausing(class dam.Class) bool {
	return class == dam.ClassUnavailable || class == dam.ClassAuth || class == dam.ClassThrottled
}

// readAgain requests a lookup of an asset whose bytes keep failing: its promised size may be wrong. It does so at
// every power of two of attempts, since an asset that stays broken must not use up the month.
func (p *Pusher) readAgain(ctx context.Context, w state.Work) error {
	if w.Attempts < 2 || w.Attempts&(w.Attempts-1) != 0 {
		return nil
	}
	return p.Store.RequestLookups(ctx, state.Observation{Kind: state.KindDetail, Class: grant.Detail}, grant.Detail, false, []state.Ref{{ID: w.AssetID, Type: w.Type}})
}

// placementDelay backs off by class: temporary failures are retried soon, those that need a person rarely.
func placementDelay(class dam.Class, attempts int) time.Duration {
	switch class {
	case dam.ClassConflict, dam.ClassForeign:
		return loop.RetryDelay(5+attempts, 10*time.Minute)
	case dam.ClassInvalid:
		return loop.RetryDelay(7+attempts, 6*time.Hour)
	default:
		return loop.RetryDelay(attempts, 5*time.Minute)
	}
}
