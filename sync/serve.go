package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
)

const (
	inboxKept  = 7 * 24 * time.Hour
	pruneEvery = time.Hour
)

// Serve runs everything until ctx ends and all work in flight is done or given back: observations on the leader,
// lookups, planning, the removal guard and pushes on every replica. It returns the failure that ended it early.
func (e *Engine) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	e.startWork(ctx, g)
	e.start(ctx, g, "rules", e.planner.Watch)
	e.start(ctx, g, "lead", e.leader.Hold)
	for _, s := range e.leaderSteps() {
		e.start(ctx, g, s.Name, func(ctx context.Context) error { return e.leader.Run(ctx, s.wakeup, s.doing, s.Run) })
	}
	return g.Wait()
}

// start runs a loop in the group. A loop that fails while its context has not ended ends the group.
func (e *Engine) start(ctx context.Context, g *errgroup.Group, name string, run func(context.Context) error) {
	g.Go(func() error {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// startWork starts what every process that moves work does. It pushes to the named targets, to all when none is named.
func (e *Engine) startWork(ctx context.Context, g *errgroup.Group, targets ...string) {
	for _, p := range e.pushers {
		if len(targets) == 0 || slices.Contains(targets, p.Target.Name()) {
			e.start(ctx, g, "push "+p.Target.Name(), p.Run)
		}
	}
	e.start(ctx, g, "listen", func(ctx context.Context) error { return e.stores.Wakeups.Listen(ctx, e.Wake) })
	e.start(ctx, g, "lookups", e.lookups.Run)
	e.start(ctx, g, "removal guard", e.guard.Run)
}

// working moves lookups and placements while do runs, without observing by itself: what a command needs beside, or
// instead of, a daemon. Work that fails ends do's context, and its failure is returned then.
func (e *Engine) working(ctx context.Context, targets []string, do func(context.Context) error) error {
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(workCtx)
	e.startWork(gctx, g, targets...)
	err := do(gctx)
	stop()
	failed := g.Wait()
	if failed != nil && ctx.Err() == nil && (err == nil || errors.Is(err, context.Canceled)) {
		return failed
	}
	return err
}

// Step is one turn of a loop that only the leader runs. Run does what is due and returns how long the loop would then
// wait. Signaled reports, once, that something asks for the next turn now.
type Step struct {
	Name     string
	Run      func(context.Context) (time.Duration, error)
	Signaled func() bool

	doing  string // for the log: "cannot <doing>"
	wakeup loop.Wakeup
}

// Steps returns the loops that observe the library, one turn at a time, for a caller that drives the engine by another
// clock than the machine's. The engine must not serve meanwhile, and nothing is read before CheckRules has found names.
func (e *Engine) Steps() []Step {
	lookup := Step{Name: "lookup", Run: e.lookups.Step, Signaled: e.lookups.Wakeup.Take}
	burst := Step{Name: "burst", Run: e.bursts.Look, Signaled: e.bursts.Wakeup.Take}
	observing := slices.DeleteFunc(e.leaderSteps(), func(s Step) bool { return !slices.Contains([]string{"incremental", "audit"}, s.Name) })
	return append([]Step{lookup, burst}, observing...)
}

func (e *Engine) leaderSteps() []Step {
	steps := []Step{
		{Name: "burst", doing: "poll a burst of events", Run: e.bursts.Step, wakeup: e.bursts.Wakeup},
		{Name: "incremental", doing: "poll the library", Run: e.poller.Step(e.schedules.incremental), wakeup: e.poller.Wakeup},
		{Name: "audit", doing: "audit the library", Run: e.auditor.Step(e.schedules.audit), wakeup: e.auditor.Wakeup},
		{Name: "sweep", doing: "sweep the library", Run: e.sweeper.Step(e.schedules.sweep), wakeup: e.sweeper.Wakeup},
		{Name: "references", doing: "read folders, labels and fields", Run: e.references.Step, wakeup: e.references.Wakeup},
		{Name: "plan", doing: "plan targets", Run: e.planner.PlanStep, wakeup: e.planner.Plan},
		{Name: "expiry", doing: "act on expiry dates", Run: e.planner.ExpiryStep(), wakeup: e.planner.Expiry},
		{Name: "verify", doing: "verify targets", Run: e.verifier.Step(e.schedules.verify), wakeup: loop.NewWakeup()},
		{Name: "housekeeping", doing: "prune the inbox", Run: e.pruneInbox, wakeup: loop.NewWakeup()},
	}
	if e.refresher != nil {
		steps = append(steps, Step{Name: "refresh", doing: "refresh details", Run: e.refresher.Step, wakeup: loop.NewWakeup()})
	}
	for i := range steps {
		steps[i].Signaled = steps[i].wakeup.Take
	}
	return steps
}

func (e *Engine) pruneInbox(ctx context.Context) (time.Duration, error) {
	n, err := e.stores.Wakeups.PruneInbox(ctx, inboxKept)
	if n > 0 {
		e.log.Debug().Int64("events", n).Msg("inbox pruned")
	}
	return pruneEvery, err
}

// Wake signals the loops that there may be work of topic.
func (e *Engine) Wake(topic state.Topic) {
	switch topic {
	case state.TopicLookup:
		e.lookups.Wakeup.Signal()
	case state.TopicPlacement:
		for _, p := range e.pushers {
			p.Wakeup.Signal()
		}
		e.planner.Expiry.Signal() // a new placement may have an expiry
	case state.TopicGuard:
		e.guard.Wakeup.Signal()
	case state.TopicPlan:
		e.planner.Changed.Signal()
		e.planner.Plan.Signal()
	case state.TopicBurst:
		e.bursts.Wakeup.Signal()
	case state.TopicReferences:
		e.references.Requested()
	}
}

// CheckRules compares the names that rules refer to with the library's; see rules.Planner.Check.
func (e *Engine) CheckRules(ctx context.Context) error { return e.planner.Check(ctx) }

// prepare reads folders, labels and fields, and plans all assets under the rules that are stale.
func (e *Engine) prepare(ctx context.Context) error {
	if err := e.references.Refresh(ctx, grant.Manual); err != nil {
		return err
	}
	return e.planner.PlanStale(ctx)
}
