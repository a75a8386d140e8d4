package sync

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	inboxKept  = 7 * 24 * time.Hour
	pruneEvery = time.Hour
)

// Serve runs everything until ctx ends and all work in flight is given back or
// done: observations on the leader, lookups, planning, the removal gate and the
// pushes on every replica.
func (e *Engine) Serve(ctx context.Context) error {
	g := newGroup(ctx)
	e.work(g)
	g.run("rules", e.watchRules)
	g.run("lead", e.lead)
	g.run("observe", e.observing)
	g.run("plan", e.planning)
	g.run("expiry", e.expiring)
	g.run("housekeeping", e.housekeeping)
	if e.opts.Depth != nil {
		g.run("refresh", e.refreshing)
		g.run("first light", e.firstLight)
	}
	return g.wait(ctx)
}

// work starts what every process that moves work does; it pushes to the targets
// named, to all when none is.
func (e *Engine) work(g *group, targets ...string) {
	for _, t := range e.targets {
		if len(targets) == 0 || slices.Contains(targets, t.Rule.Name()) {
			g.run("push "+t.Rule.Name(), e.pusher(t).run)
		}
	}
	g.run("listen", e.listen)
	g.run("lookups", e.lookups)
	g.run("removal gate", e.gating)
}

// working moves lookups and placements while do runs, without observing by itself:
// what a command needs beside, or instead of, a daemon. Work that fails ends do's
// context, and its failure is what is returned then.
func (e *Engine) working(ctx context.Context, targets []string, do func(context.Context) error) error {
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	g := newGroup(workCtx)
	e.work(g, targets...)
	err := do(g.ctx)
	failed := context.Cause(g.ctx)
	stop()
	g.wg.Wait()
	if failed != nil && ctx.Err() == nil && (err == nil || errors.Is(err, context.Canceled)) {
		return failed
	}
	return err
}

func (e *Engine) housekeeping(ctx context.Context) error {
	return e.onLeader(ctx, e.bells.prune, "prune the inbox", func(ctx context.Context) (time.Duration, error) {
		n, err := e.store.PruneInbox(ctx, inboxKept)
		if n > 0 {
			e.log.Debug().Int64("events", n).Msg("inbox pruned")
		}
		return pruneEvery, err
	})
}
