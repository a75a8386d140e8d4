package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/internal/grant"
	"damsync/sync"
	"damsync/sync/plan"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

type monthOptions struct {
	assets   quantity
	mods     int
	adds     int
	dels     int
	folders  int
	toggles  int
	bulk     float64
	hook     float64
	delivery time.Duration
	details  bool
	seed     uint64
	poll     time.Duration
	widest   time.Duration
	audit    string
	quota    int64
}

// monthDefaults is the month that the bounds are about.
func monthDefaults() monthOptions {
	return monthOptions{
		assets: 1_000_000, mods: 1000, adds: 200, dels: 50, folders: 4, bulk: 0.5, hook: 0.99, delivery: 3 * time.Second, seed: 1,
		poll: 5 * time.Minute, widest: 15 * time.Minute, audit: "@hourly", quota: 200_000,
	}
}

func newMonth() *cobra.Command {
	o := monthDefaults()
	cmd := &cobra.Command{
		Use:   "month",
		Short: "Observe a library for a month of its own clock, and count the requests",
		Long: `month lets editors change a simulated library for 30 days while the daemon's engine
observes it: the loops of the engine, its client's place taken by a library in memory, its
store's by a mirror in memory, its clock by one that jumps from event to event. Grants
follow the rule of the ledger. The same flags give the same month.

A share of edits and additions happens in bulk, 5 to 50 within seconds, the others one by
one at any time of the day. Folders of 20 to 420 assets are deleted whole. Webhooks arrive
1 to 3 s after the change, those that are not lost.

Observation is what polls, audits and the confirmation of removals cost. What a webhook
reports as changed is read singly, as a changed asset is whose detail a target reads; both
count as details.`,
		Example: "  go run ./bench month -n 1e6 --hook 0.99\n  go run ./bench month -n 1e6 --hook 0\n  go run ./bench month -n 1e6 --details\n  go run ./bench month --bulk 0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := simulateMonth(cmd.Context(), o)
			if err != nil {
				return err
			}
			return m.sheet(o).report(cmd)
		},
	}
	f := cmd.Flags()
	f.VarP(&o.assets, "assets", "n", "assets of the library")
	f.IntVar(&o.mods, "mods", o.mods, "edits a day")
	f.IntVar(&o.adds, "adds", o.adds, "additions a day")
	f.IntVar(&o.dels, "dels", o.dels, "deletions a day, one by one")
	f.IntVar(&o.folders, "folders", o.folders, "folders deleted in the month")
	f.IntVar(&o.toggles, "toggles", o.toggles, "assets a day that are hidden from the app for hours or days, of which nothing tells")
	f.Float64Var(&o.bulk, "bulk", o.bulk, "share of edits and additions that are made in bulk")
	f.Float64Var(&o.hook, "hook", o.hook, "share of webhooks that arrive")
	f.DurationVar(&o.delivery, "delivery", o.delivery, "of a webhook after its change, evenly from 1 s to this")
	f.BoolVar(&o.details, "details", false, "a target reads the detail of every asset")
	f.Uint64Var(&o.seed, "seed", o.seed, "of the month's chances")
	f.DurationVar(&o.poll, "poll", o.poll, "schedule of the poll")
	f.DurationVar(&o.widest, "widest", o.widest, "how far apart polls may be while webhooks announce everything; 0: as scheduled")
	f.StringVar(&o.audit, "audit", o.audit, "schedule of the windows that are counted in turn")
	f.Int64Var(&o.quota, "quota", o.quota, "requests a month")
	return cmd
}

// month is what came of one.
type month struct {
	world   *monthWorld
	ledger  *monthLedger
	library *monthLibrary
	mirror  *monthMirror
}

func simulateMonth(ctx context.Context, o monthOptions) (*month, error) {
	world := newMonthWorld(o)
	ledger := newMonthLedger(o.quota, monthDays)
	m := &month{world: world, ledger: ledger, library: &monthLibrary{world: world, ledger: ledger, gone: map[grant.Class]int64{}}, mirror: newMonthMirror(world)}
	engine, err := m.engine(o)
	if err != nil {
		return nil, err
	}
	if err := engine.RefreshReferences(ctx, grant.Manual); err != nil {
		return nil, err
	}
	steps, err := engine.Steps()
	if err != nil {
		return nil, err
	}
	return m, m.run(ctx, steps)
}

func (m *month) engine(o monthOptions) (*sync.Engine, error) {
	spec := plan.Spec{Name: "target", Select: plan.Select{Expired: plan.ExpiredIgnore}}
	if o.details {
		spec.Select.Expired = plan.ExpiredExclude
	}
	rule, problems := plan.Compile(spec)
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile rule: %v", problems)
	}
	return sync.New(sync.Options{
		Library: m.library, Store: m.mirror, Instance: "month", Log: zerolog.Nop(),
		Targets:  []sync.Target{{Rule: rule}},
		Schedule: sync.Schedule{Incremental: "@every " + o.poll.String(), IncrementalLimit: o.widest, Audit: o.audit}, MonthLimit: o.quota,
	}), nil
}

// run drives the engine's loops from event to event. They take turns: what would run side by side
// waits for the other, which makes lags longer than they are.
func (m *month) run(ctx context.Context, steps []sync.Step) error {
	due := make([]time.Duration, len(steps))
	m.world.report = m.mirror.report
	m.mirror.wake = func(step string) {
		for i := range due {
			if steps[i].Name == step {
				due[i] = m.world.now
			}
		}
	}
	for ctx.Err() == nil {
		next := slices.Min(due)
		if first := m.world.next(); first < next {
			m.world.reach(first) // a webhook may bring a step forward
			continue
		}
		if next >= monthDays*dayLength {
			return nil
		}
		m.world.reach(next)
		i := slices.Index(due, slices.Min(due))
		wait, err := steps[i].Run(ctx)
		var deferred *grant.Deferred
		if err != nil && !errors.As(err, &deferred) {
			return fmt.Errorf("%s on day %.1f: %w", steps[i].Name, m.world.now.Hours()/24, err)
		}
		due[i] = m.world.now + max(wait, time.Millisecond)
		for i, s := range steps {
			if s.Rung() {
				due[i] = m.world.now
			}
		}
	}
	return ctx.Err()
}

// sheet holds the month against its bounds.
func (m *month) sheet(o monthOptions) *sheet {
	s := &sheet{}
	percent := func(n int64) float64 { return 100 * float64(n) / float64(o.quota) }
	share := 25.0
	if o.hook > 0 {
		share = 15
	}
	used := m.ledger.byClass()
	details := used[grant.Webhook] + used[grant.Detail] - m.library.gone[grant.Webhook] - m.library.gone[grant.Detail]
	s.atMost(share, "observation", percent(m.ledger.used-details), "% of the quota")
	s.atMost(50, "observation and details", percent(m.ledger.used), "% of the quota")
	for _, class := range grant.Classes() {
		if n := used[class]; n > 0 {
			s.seen("  "+string(class), float64(n), "requests")
		}
	}
	w := m.world
	s.seen("changes", float64(w.changes), "assets")
	s.seen("change known after, median", quantile(w.changeLag, 0.5).Seconds(), "s")
	poll, most := o.poll, o.poll.Seconds()+2
	if o.hook > 0 {
		poll, most = max(o.poll, o.widest), 5
	}
	s.atMost(most, "change known after, p99", quantile(w.changeLag, 0.99).Seconds(), "s")
	s.seen("deletions known", float64(len(w.removalLag)), "assets")
	s.seen("deletion known after, median", quantile(w.removalLag, 0.5).Seconds(), "s")
	s.atMost((poll + recount + bisection + wave).Seconds(), "deletion known after, p99", quantile(w.removalLag, 0.99).Seconds(), "s")
	s.seen("deletion known after, longest", quantile(w.removalLag, 1).Seconds(), "s")
	s.exactly(0, "requests above pace or month", float64(m.ledger.check(10)), "")
	s.atMost(1, "assets wrong at the end, of those changed over a poll ago", float64(m.wrong(2*o.poll)), "")
	return s
}

const (
	// recount is when the poll looks again whether counts differ.
	recount = 30 * time.Second
	// bisection is what finding one asset among a million takes, and its confirmation.
	bisection = 20 * latency
	// wave is what it takes to confirm each asset of the largest folder.
	wave = largestFolder * latency
)

// wrong counts the assets that the mirror should know by now and does not.
func (m *month) wrong(age time.Duration) (n int) {
	for _, changed := range m.world.unseen {
		if m.world.now-changed[0] > age {
			n++
		}
	}
	for _, since := range m.world.gone {
		if m.world.now-since > age {
			n++
		}
	}
	return n
}

func quantile(lags []time.Duration, q float64) time.Duration {
	if len(lags) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(lags))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
