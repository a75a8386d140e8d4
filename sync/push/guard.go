package push

import (
	"context"
	"math/bits"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
)

// guardDelay is how long the newest removal waits for others of the same wave.
const guardDelay = 500 * time.Millisecond

// GuardStore evaluates the removals that wait at a target; evaluations are serialized in the database.
type GuardStore interface {
	EvaluateRemovals(ctx context.Context, target string, limit state.GuardLimit) (state.Wave, state.GuardAnswer, error)
}

// Planned knows which rules are in force and which of them are not planned for all assets; *rules.Planner is one.
type Planned interface {
	Stale(ctx context.Context) (stale []*plan.Target, epoch int64, err error)
}

// Guard releases or holds removals. It may run on every replica.
type Guard struct {
	Store    GuardStore
	Planned  Planned
	InForce  func() []*plan.Target
	Wakeup   loop.Wakeup
	SlowPoll time.Duration
	Log      zerolog.Logger
}

// Run evaluates waiting removals until ctx ends. It always returns nil.
func (g *Guard) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, err := g.Evaluate(ctx)
		if err != nil && ctx.Err() == nil {
			g.Log.Warn().Err(err).Msg("evaluating removals failed")
			wait = time.Second
		}
		if err := g.Wakeup.Wait(ctx, wait); err != nil {
			return nil
		}
	}
	return nil
}

// Evaluate releases the waiting removals of each target, or holds them, and returns when to call it again. It skips a
// target that is not planned for all assets, because its wave is not complete.
func (g *Guard) Evaluate(ctx context.Context) (time.Duration, error) {
	stale, _, err := g.Planned.Stale(ctx)
	if err != nil {
		return g.SlowPoll, err
	}
	partial := map[*plan.Target]bool{}
	for _, rule := range stale {
		partial[rule] = true
	}
	again := g.SlowPoll
	for _, rule := range g.InForce() {
		if partial[rule] {
			continue
		}
		wave, answer, err := g.Store.EvaluateRemovals(ctx, rule.Name(), guardLimit(rule.RemovalLimit()))
		if err != nil {
			return g.SlowPoll, err
		}
		if wave.Waiting == 0 {
			continue
		}
		g.log(rule, wave, answer)
		if answer == state.GuardWait {
			again = min(again, guardWait(wave))
		}
	}
	return again, nil
}

// guardWait returns when to evaluate again: once the newest removal has waited long enough. A wave that waits for suspects
// is evaluated when they have been read.
func guardWait(w state.Wave) time.Duration {
	if rest := guardDelay - w.NewestAge; rest > 0 {
		return rest + time.Millisecond
	}
	return 2 * time.Second
}

// guardLimit returns the limit as the store evaluates it.
func guardLimit(limit plan.RemovalLimit) state.GuardLimit {
	return state.GuardLimit{
		Enough: limit.Enough,
		Evaluate: func(w state.Wave) state.GuardAnswer {
			answer := limit.Evaluate(w)
			if answer == state.GuardRelease && w.NewestAge < guardDelay {
				return state.GuardWait
			}
			return answer
		},
	}
}

func (g *Guard) log(rule *plan.Target, w state.Wave, answer state.GuardAnswer) {
	switch answer {
	case state.GuardHold:
		g.Log.WithLevel(holdLevel(w)).Str("target", rule.Name()).Int("removals", w.Waiting+w.Held).Int("recent", w.Recent).
			Int("allowed", rule.RemovalLimit().Allowed(w)).
			Msgf("removals are held for approval: more than removal_limit allows; see damsync plan, then damsync approve --target %s", rule.Name())
	case state.GuardRelease:
		g.Log.Info().Str("target", rule.Name()).Int("removals", w.Waiting).Msg("removals released")
	}
}

// holdLevel logs a wave that grows while it is held as an error when it begins and whenever it has doubled.
func holdLevel(w state.Wave) zerolog.Level {
	if bits.Len(uint(w.Held)) == bits.Len(uint(w.Held+w.Waiting)) {
		return zerolog.DebugLevel
	}
	return zerolog.ErrorLevel
}
