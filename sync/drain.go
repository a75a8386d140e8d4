package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
)

const (
	// drainPoll is how often who waits for work to be done looks whether it is.
	drainPoll = 500 * time.Millisecond
	// drainPatience is how long a library that answers nothing is waited for.
	drainPatience = 2 * time.Minute
)

// drain waits until nothing is left of what was wanted and planned up to now, and of what
// is planned from readings that were wanted then: what others ask for meanwhile is
// not waited for. A library that refuses the login, or answers nothing for longer than
// o.Patience, ends the wait with its reason.
func (e *Engine) drain(ctx context.Context, o ResyncOptions, sweep SweepProgress) (state.Backlog, error) {
	d := draining{e: e, scope: e.scopeOf(o)}
	var err error
	if d.scope.Wanted, err = e.store.Now(ctx); err != nil {
		return state.Backlog{}, err
	}
	for {
		if err := d.watchDepth(ctx); err != nil {
			return state.Backlog{}, err
		}
		b, err := d.count(ctx)
		if err != nil {
			return b, err
		}
		o.Progress(ResyncProgress{Phase: "targets", Sweep: sweep, Backlog: b, Depth: d.depth})
		if b.Lookups == 0 && b.Placements == 0 && b.Waiting == 0 {
			return b, nil
		}
		if err := e.hindrance(o, b); err != nil {
			return b, err
		}
		if err := pause(ctx, o.Poll); err != nil {
			return b, context.Cause(ctx)
		}
	}
}

func (e *Engine) scopeOf(o ResyncOptions) state.BacklogScope {
	scope := state.BacklogScope{Targets: o.Targets, AssetID: o.AssetID}
	if len(scope.Targets) > 0 {
		return scope
	}
	for _, t := range e.targets {
		scope.Targets = append(scope.Targets, t.Rule.Name())
	}
	return scope
}

// draining is the wait for the work of scope.
type draining struct {
	e       *Engine
	scope   state.BacklogScope
	read    bool // everything that was wanted has been read, so that scope.Planned stays
	depth   state.FirstLight
	watched time.Time
}

// count tells what is left. As long as something has to be read, what is planned from
// it goes on coming.
func (d *draining) count(ctx context.Context) (state.Backlog, error) {
	b, err := d.countUpToNow(ctx)
	if err != nil || d.read || b.Lookups > 0 {
		return b, err
	}
	b, err = d.countUpToNow(ctx) // the last reading may have planned something since
	d.read = true
	return b, err
}

func (d *draining) countUpToNow(ctx context.Context) (state.Backlog, error) {
	if !d.read {
		var err error
		if d.scope.Planned, err = d.e.store.Now(ctx); err != nil {
			return state.Backlog{}, err
		}
	}
	return d.e.store.Backlog(ctx, d.scope)
}

// watchDepth looks now and then how far the reading in depth of many assets got.
func (d *draining) watchDepth(ctx context.Context) error {
	if d.e.opts.Depth == nil || time.Since(d.watched) < firstLightEvery {
		return nil
	}
	var err error
	d.depth, err = d.e.watchFirstLight(ctx)
	d.watched = time.Now()
	return err
}

// hindrance is what keeps the work from being done, for longer than anybody should wait.
func (e *Engine) hindrance(o ResyncOptions, b state.Backlog) error {
	if d, is := e.Deferred(); is && concerns(o, b, d.Class) {
		return d
	}
	if b.Lookups == 0 {
		return nil
	}
	if f := e.LibraryFailure(); f != nil && errors.Is(f.Err, cmp.ErrAuth) {
		return fmt.Errorf("%d assets cannot be read: %w", b.Lookups, f.Err)
	}
	patience := o.Patience
	if patience == 0 {
		patience = drainPatience
	}
	if since, err := e.trouble.outage(); err != nil && time.Since(since) > patience {
		return fmt.Errorf("%d assets cannot be read, the library has answered nothing since %s: %w", b.Lookups, since.Format(time.TimeOnly), err)
	}
	return nil
}

// concerns tells whether a refusal of class keeps back what o waits for: the most urgent reading
// that is left, or one that is as urgent, and the bytes of what is to be placed.
func concerns(o ResyncOptions, b state.Backlog, class grant.Class) bool {
	if b.Lookups > 0 {
		return b.Urgent.Rank() >= class.Rank()
	}
	return o.AssetID == "" || class.Rank() <= grant.Incremental.Rank()
}
