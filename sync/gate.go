package sync

import (
	"context"
	"math/bits"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/state"
	"damsync/sync/plan"
)

// settle is how long the newest waiting removal is left to see whether more come with it.
const settle = 500 * time.Millisecond

// gating judges the removals that wait, on every replica: the judgement itself
// is serialized in the database.
func (e *Engine) gating(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, err := e.JudgeRemovals(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Warn().Err(err).Msg("removals cannot be judged")
			wait = time.Second
		}
		if err := e.bells.gate.wait(ctx, wait); err != nil {
			return nil
		}
	}
	return nil
}

// JudgeRemovals lets removals through the gate, or holds them, and says when to
// look again. A target that is not planned in full is not judged: its wave is
// not complete.
func (e *Engine) JudgeRemovals(ctx context.Context) (time.Duration, error) {
	epoch, err := e.store.Epoch(ctx)
	if err != nil {
		return e.opts.SlowPoll, err
	}
	stale, err := e.staleRules(ctx, epoch)
	if err != nil {
		return e.opts.SlowPoll, err
	}
	partial := map[string]bool{}
	for _, rule := range stale {
		partial[rule.Name()] = true
	}
	again := e.opts.SlowPoll
	for _, rule := range e.rules() {
		if partial[rule.Name()] {
			continue
		}
		wave, answer, err := e.store.JudgeRemovals(ctx, rule.Name(), judge(rule.RemovalLimit()))
		if err != nil {
			return e.opts.SlowPoll, err
		}
		if wave.Waiting == 0 {
			continue
		}
		e.logWave(rule, wave, answer)
		if answer == state.GateWait {
			again = min(again, waitAtGate(wave))
		}
	}
	return again, nil
}

// waitAtGate looks again when the newest removal has settled; one that waits
// for suspects is woken when they are read.
func waitAtGate(w state.Wave) time.Duration {
	if rest := settle - w.NewestAge; rest > 0 {
		return rest + time.Millisecond
	}
	return 2 * time.Second
}

// judge is the limit as the store asks it: what was let through a moment ago
// belongs to the same wave.
func judge(limit plan.RemovalLimit) state.Judge {
	return state.Judge{
		Enough: func(w state.Wave) int { return limit.Enough(planWave(w)) },
		Admit: func(w state.Wave) state.GateAnswer {
			gate := limit.Admit(planWave(w))
			switch {
			case gate == plan.Hold:
				return state.GateHold
			case gate == plan.Wait, w.NewestAge < settle:
				return state.GateWait
			default:
				return state.GateRelease
			}
		},
	}
}

func planWave(w state.Wave) plan.Wave {
	return plan.Wave{Waiting: w.Waiting, Held: w.Held, Suspects: w.Suspects, Recent: w.Recent, Present: w.Present}
}

func (e *Engine) logWave(rule *plan.Target, w state.Wave, answer state.GateAnswer) {
	switch answer {
	case state.GateHold:
		e.log.WithLevel(holdLevel(w)).Str("target", rule.Name()).Int("removals", w.Waiting+w.Held).Int("recent", w.Recent).
			Int("allowed", rule.RemovalLimit().Allowance(planWave(w))).
			Msgf("removals are held: more than removal_limit allows; look with damsync plan, let them through with damsync approve --target %s", rule.Name())
	case state.GateRelease:
		e.log.Info().Str("target", rule.Name()).Int("removals", w.Waiting).Msg("removals let through")
	}
}

// holdLevel makes a wave that is held while it grows one by one an error when it begins and whenever it has doubled.
func holdLevel(w state.Wave) zerolog.Level {
	if bits.Len(uint(w.Held)) == bits.Len(uint(w.Held+w.Waiting)) {
		return zerolog.DebugLevel
	}
	return zerolog.ErrorLevel
}
