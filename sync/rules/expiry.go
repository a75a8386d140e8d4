package rules

import (
	"context"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
)

const (
	// expiryGap is the least time between two searches for expired assets: every written placement signals one.
	expiryGap = 500 * time.Millisecond
	// expiryBatch is the number of assets planned at a time.
	expiryBatch = 500
)

// ExpiryStep returns a step that plans assets again when their expiry date comes: no event reports it.
func (p *Planner) ExpiryStep() func(context.Context) (time.Duration, error) {
	var last time.Time
	return func(ctx context.Context) (time.Duration, error) {
		if rest := expiryGap - time.Since(last); rest > 0 {
			return rest, nil
		}
		wait, err := p.expire(ctx)
		last = time.Now()
		return max(wait, 0), err
	}
}

func (p *Planner) expire(ctx context.Context) (time.Duration, error) {
	var names []string
	for _, rule := range p.Rules.InForce() {
		if rule.ExcludesExpired() {
			names = append(names, rule.Name())
		}
	}
	if len(names) == 0 {
		return p.SlowPoll, nil
	}
	ids, next, err := p.Store.Expired(ctx, names, expiryBatch)
	if err != nil {
		return p.SlowPoll, err
	}
	if len(ids) > 0 {
		if err := p.PlanAssets(ctx, state.Observation{Kind: state.KindExpiry, Class: grant.Incremental}, ids); err != nil {
			return p.SlowPoll, err
		}
		p.Log.Info().Int("assets", len(ids)).Msg("assets expired")
	}
	switch {
	case len(ids) == expiryBatch:
		return 0, nil
	case next.IsZero():
		return p.SlowPoll, nil
	}
	now, err := p.Store.Now(ctx)
	return min(next.Sub(now), p.SlowPoll), err
}
