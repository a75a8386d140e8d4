package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/internal/grant"
	"damsync/sync"
	"damsync/sync/plan"

	"github.com/rs/zerolog"
)

type options struct {
	assets    benchkit.Quantity
	edits     int
	additions int
	deletions int
	folders   int
	toggles   int
	bulk      float64
	hook      float64
	details   bool
	seed      uint64
	poll      time.Duration
	audit     string
	quota     int64
}

// defaults is the month that the bounds refer to.
func defaults() options {
	return options{
		assets: 1_000_000, edits: 1000, additions: 200, deletions: 50, folders: 4, bulk: 0.5, hook: 0.99, seed: 1,
		poll: 5 * time.Minute, audit: "@hourly", quota: 200_000,
	}
}

// month is a simulated month and what came of it.
type month struct {
	options
	world   *world
	library *countedLibrary
}

func simulate(ctx context.Context, o options) (*month, error) {
	w := newWorld(o)
	m := &month{options: o, world: w, library: &countedLibrary{world: w, byClass: map[grant.Class]int{}, gone: map[grant.Class]int{}}}
	s := newMemoryStore(w)
	d := &driver{world: w}
	w.report, s.wake = s.report, d.wake
	engine, err := m.engine(s)
	if err != nil {
		return nil, err
	}
	if err := engine.CheckRules(ctx); err != nil {
		return nil, err
	}
	return m, d.run(ctx, engine.Steps())
}

func (m *month) engine(s *memoryStore) (*sync.Engine, error) {
	spec := plan.Spec{Name: "target", Select: plan.Select{Expired: plan.ExpiredIgnore}}
	if m.details {
		spec.Select.Expired = plan.ExpiredExclude
	}
	rule, problems := plan.Compile(spec)
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile rule: %v", problems)
	}
	return sync.New(sync.Options{
		Library: m.library, Instance: "month", Log: zerolog.Nop(), Targets: []sync.Target{{Rule: rule}},
		Stores:   sync.Stores{Plan: s, Mirror: s, Polls: s, Bursts: s, Lookups: s, Audits: s},
		Schedule: sync.Schedule{Incremental: "@every " + m.poll.String(), Audit: m.audit}, MonthLimit: m.quota,
	})
}

// driver runs the engine's loops from event to event. They take turns: a loop waits where it would
// run beside another, which makes lags longer than they are.
type driver struct {
	world *world
	steps []sync.Step
	due   []time.Duration // when each step runs next
}

// wake lets steps run next, as notifications of the database do.
func (d *driver) wake(names ...string) {
	for i, s := range d.steps {
		if slices.Contains(names, s.Name) {
			d.due[i] = d.world.now
		}
	}
}

func (d *driver) run(ctx context.Context, steps []sync.Step) error {
	d.steps, d.due = steps, make([]time.Duration, len(steps))
	for ctx.Err() == nil {
		next := slices.Min(d.due)
		if first := d.world.next(); first < next {
			d.world.reach(first) // a webhook may bring a step forward
			continue
		}
		if next >= d.world.end {
			return nil
		}
		d.world.reach(next)
		if err := d.step(ctx, slices.Index(d.due, slices.Min(d.due))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (d *driver) step(ctx context.Context, i int) error {
	wait, err := d.steps[i].Run(ctx)
	if err != nil {
		return fmt.Errorf("%s on day %.1f: %w", d.steps[i].Name, d.world.now.Hours()/24, err)
	}
	d.due[i] = d.world.now + max(wait, time.Millisecond)
	for i, s := range d.steps {
		if s.Signaled() {
			d.due[i] = d.world.now
		}
	}
	return nil
}
