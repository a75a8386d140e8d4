package rules

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
)

// PlanStore plans many assets at once and records how far each target is planned.
type PlanStore interface {
	Now(ctx context.Context) (time.Time, error)
	Observation(ctx context.Context, kind string) (state.ObservationState, error)
	Names(ctx context.Context) (state.Names, error)
	Epoch(ctx context.Context) (int64, error)
	TargetPlan(ctx context.Context, target string) (state.TargetPlan, error)
	SetTargetPlanned(ctx context.Context, target string, fingerprint []byte, epoch int64) error
	SetTargetProblem(ctx context.Context, target, problem string) error
	PlanNext(ctx context.Context, obs state.Observation, after string, limit int, evaluate state.Evaluate) (string, error)
	PlanAssets(ctx context.Context, obs state.Observation, ids []string, evaluate state.Evaluate) error
	Expired(ctx context.Context, targets []string, limit int) (ids []string, next time.Time, err error)
}

// Planner keeps the rules in force and every asset planned under them. Its methods are safe for concurrent use.
type Planner struct {
	Rules    *Set
	Store    PlanStore
	SlowPoll time.Duration // how often work is looked for without a wake-up
	Log      zerolog.Logger

	Plan    loop.Wakeup // a target has to be planned
	Changed loop.Wakeup // the library's names in the mirror may have changed
	Expiry  loop.Wakeup // a placement with an expiry may be new

	mu     sync.Mutex
	logged map[string]string // the last problem logged of each rule
}

// planChunk is the number of assets planned in one transaction.
const planChunk = 1000

// Check compares the names that rules refer to with the library's. A rule that names what the library does not have
// does not run: the CMP ignores unknown names in filters, and a rule that silently selects too little removes too
// much. Before the names were read for the first time no rule runs.
func (p *Planner) Check(ctx context.Context) error {
	read, err := p.Store.Observation(ctx, state.KindReferences)
	if err != nil || read.LastSuccess.IsZero() {
		return err
	}
	names, err := p.Store.Names(ctx)
	if err != nil {
		return err
	}
	problems := p.problems(names)
	for _, rule := range p.Rules.Configured() {
		name := rule.Name()
		if err := p.Store.SetTargetProblem(ctx, name, problems[name]); err != nil {
			return err
		}
		p.logProblem(name, problems[name])
	}
	for _, rule := range p.Rules.activate(problems, names.LabelNames) {
		// Assets were evaluated without the rule while it did not run here.
		if err := p.Store.SetTargetPlanned(ctx, rule.Name(), []byte{}, 0); err != nil {
			return err
		}
		p.Plan.Signal()
	}
	return nil
}

// UseKnown puts the rules in force whose names the mirror has. It writes nothing.
func (p *Planner) UseKnown(ctx context.Context) error {
	names, err := p.Store.Names(ctx)
	if err != nil {
		return err
	}
	p.Rules.activate(p.problems(names), names.LabelNames)
	return nil
}

// problems returns for each rule why it cannot run, or an empty string when it can.
func (p *Planner) problems(names state.Names) map[string]string {
	problems := map[string]string{}
	for _, rule := range p.Rules.Configured() {
		problems[rule.Name()] = strings.Join(MissingNames(rule.References(), names), "; ")
	}
	return problems
}

// logProblem logs each problem of a rule once.
func (p *Planner) logProblem(rule, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.logged == nil {
		p.logged = map[string]string{}
	}
	if problem != "" && problem != p.logged[rule] {
		p.Log.Error().Str("target", rule).Str("problem", problem).Msg("target does not run")
	}
	p.logged[rule] = problem
}

// Watch checks the rules whenever a replica has read the library's names, until ctx ends. It runs on every replica and
// always returns nil.
func (p *Planner) Watch(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := p.SlowPoll
		if err := p.Check(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn().Err(err).Msg("checking the rules failed")
		}
		if !p.Rules.Known() {
			wait = time.Second
		}
		if p.Changed.Wait(ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

// PlanStep checks the rules and plans the stale ones. Rules with a missing name must not be planned without it.
func (p *Planner) PlanStep(ctx context.Context) (time.Duration, error) {
	if err := p.Check(ctx); err != nil {
		return p.SlowPoll, err
	}
	return p.SlowPoll, p.PlanStale(ctx)
}

// PlanStale evaluates every asset under the rules that changed, or whose folders, labels or fields changed, since
// they were last planned. It streams and is idempotent: after a kill it starts again.
func (p *Planner) PlanStale(ctx context.Context) error {
	for {
		stale, epoch, err := p.Stale(ctx)
		if err != nil || len(stale) == 0 {
			return err
		}
		started := time.Now()
		if err := p.planAll(ctx, stale); err != nil {
			return err
		}
		for _, rule := range stale {
			fingerprint := rule.Fingerprint()
			if err := p.Store.SetTargetPlanned(ctx, rule.Name(), fingerprint[:], epoch); err != nil {
				return err
			}
			p.Log.Info().Str("target", rule.Name()).Int64("epoch", epoch).Dur("took_ms", time.Since(started)).Msg("all assets planned for target")
		}
	}
}

func (p *Planner) planAll(ctx context.Context, rules []*plan.Target) error {
	evaluate := func(now time.Time, k state.Snapshot) state.Decisions { return p.Rules.evaluate(rules, now, k) }
	for after := ""; ; {
		last, err := p.Store.PlanNext(ctx, state.Observation{Kind: state.KindPlan, Class: grant.Sweep, Bulk: true}, after, planChunk, evaluate)
		if err != nil || last == "" {
			return err
		}
		after = last
	}
}

// Stale lists the rules in force that are not planned for all assets, as of the epoch it returns.
func (p *Planner) Stale(ctx context.Context) ([]*plan.Target, int64, error) {
	epoch, err := p.Store.Epoch(ctx)
	if err != nil {
		return nil, 0, err
	}
	var stale []*plan.Target
	for _, rule := range p.Rules.InForce() {
		planned, err := p.Store.TargetPlan(ctx, rule.Name())
		if err != nil {
			return nil, 0, err
		}
		fingerprint := rule.Fingerprint()
		if planned.Epoch != epoch || !bytes.Equal(planned.Fingerprint, fingerprint[:]) {
			stale = append(stale, rule)
		}
	}
	return stale, epoch, nil
}

// PlanAssets evaluates single assets again under the rules in force.
func (p *Planner) PlanAssets(ctx context.Context, obs state.Observation, ids []string) error {
	return p.Rules.Write(func() error { return p.Store.PlanAssets(ctx, obs, ids, p.Rules.Evaluate) })
}
