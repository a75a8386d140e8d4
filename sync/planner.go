package sync

import (
	"bytes"
	"context"
	"time"

	"damsync/internal/state"
	"damsync/sync/plan"
)

const planChunk = 1000

// PlanStale judges every asset for the rules that changed, or whose folders,
// labels or fields changed, since they were last planned in full. It streams
// and is idempotent; a kill in the middle only makes it start again.
func (e *Engine) PlanStale(ctx context.Context) error {
	for {
		epoch, err := e.store.Epoch(ctx)
		if err != nil {
			return err
		}
		stale, err := e.staleRules(ctx, epoch)
		if err != nil || len(stale) == 0 {
			return err
		}
		started := time.Now()
		if err := e.planAll(ctx, stale); err != nil {
			return err
		}
		for _, rule := range stale {
			fingerprint := rule.Fingerprint()
			if err := e.store.SetTargetPlanned(ctx, rule.Name(), fingerprint[:], epoch); err != nil {
				return err
			}
			e.log.Info().Str("target", rule.Name()).Int64("epoch", epoch).Dur("took_ms", time.Since(started)).Msg("target planned in full")
		}
	}
}

func (e *Engine) planAll(ctx context.Context, rules []*plan.Target) error {
	labels := e.labelNames()
	decide := func(now time.Time, k state.Known) state.Verdict { return e.ranked(k, decideFor(rules, labels, now, k)) }
	for after := ""; ; {
		last, err := e.store.PlanNext(ctx, state.Observation{Kind: state.KindPlan, Bulk: true}, after, planChunk, decide)
		if err != nil || last == "" {
			return err
		}
		after = last
	}
}

func (e *Engine) staleRules(ctx context.Context, epoch int64) ([]*plan.Target, error) {
	var stale []*plan.Target
	for _, rule := range e.rules() {
		p, err := e.store.TargetPlan(ctx, rule.Name())
		if err != nil {
			return nil, err
		}
		fingerprint := rule.Fingerprint()
		if p.Epoch != epoch || !bytes.Equal(p.Fingerprint, fingerprint[:]) {
			stale = append(stale, rule)
		}
	}
	return stale, nil
}

// planning keeps every target planned, on the leader.
func (e *Engine) planning(ctx context.Context) error {
	return e.onLeader(ctx, e.bells.plan, "plan targets", func(ctx context.Context) (time.Duration, error) {
		// Rules whose names are gone must not be planned without them.
		if err := e.CheckRules(ctx); err != nil {
			return e.opts.SlowPoll, err
		}
		return e.opts.SlowPoll, e.PlanStale(ctx)
	})
}

// expiryGap is how long after looking for expired assets nobody looks again: every
// placement that is written wakes the look.
const expiryGap = 500 * time.Millisecond

// expiring plans assets anew when their expiry comes: no event tells of it.
func (e *Engine) expiring(ctx context.Context) error {
	var last time.Time
	return e.onLeader(ctx, e.bells.expiry, "act on expiry", func(ctx context.Context) (time.Duration, error) {
		if rest := expiryGap - time.Since(last); rest > 0 {
			return rest, nil
		}
		wait, err := e.actOnExpiry(ctx)
		last = time.Now()
		return max(wait, 0), err
	})
}

func (e *Engine) actOnExpiry(ctx context.Context) (time.Duration, error) {
	const batch = 500
	var names []string
	for _, rule := range e.rules() {
		if rule.ExcludesExpired() {
			names = append(names, rule.Name())
		}
	}
	if len(names) == 0 {
		return e.opts.SlowPoll, nil
	}
	ids, next, err := e.store.Expired(ctx, names, batch)
	if err != nil {
		return e.opts.SlowPoll, err
	}
	if len(ids) > 0 {
		err := e.withRules(func() error { return e.store.PlanAssets(ctx, state.Observation{Kind: state.KindExpiry}, ids, e.decide) })
		if err != nil {
			return e.opts.SlowPoll, err
		}
		e.log.Info().Int("assets", len(ids)).Msg("assets have expired")
	}
	switch {
	case len(ids) == batch:
		return 0, nil
	case next.IsZero():
		return e.opts.SlowPoll, nil
	}
	now, err := e.store.Now(ctx)
	return min(next.Sub(now), e.opts.SlowPoll), err
}
