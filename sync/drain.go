package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	scope, err := e.scopeOf(ctx, o)
	if err != nil {
		return state.Backlog{}, err
	}
	var depth state.FirstLight
	for watched, read := (time.Time{}), false; ; {
		if e.opts.Depth != nil && time.Since(watched) >= firstLightEvery {
			if depth, err = e.watchFirstLight(ctx); err != nil {
				return state.Backlog{}, err
			}
			watched = time.Now()
		}
		if !read {
			if scope.Planned, err = e.store.Now(ctx); err != nil {
				return state.Backlog{}, err
			}
		}
		b, err := e.store.Backlog(ctx, scope)
		if err != nil {
			return b, err
		}
		o.Progress(ResyncProgress{Phase: "targets", Sweep: sweep, Backlog: b, Depth: depth})
		if b.Lookups == 0 && !read {
			// The last reading may have planned something since.
			if scope.Planned, err = e.store.Now(ctx); err != nil {
				return b, err
			}
			read = true
			continue
		}
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

func (e *Engine) scopeOf(ctx context.Context, o ResyncOptions) (state.BacklogScope, error) {
	scope := state.BacklogScope{Targets: o.Targets, AssetID: o.AssetID}
	if len(scope.Targets) == 0 {
		for _, t := range e.targets {
			scope.Targets = append(scope.Targets, t.Rule.Name())
		}
	}
	var err error
	scope.Wanted, err = e.store.Now(ctx)
	return scope, err
}

// hindrance is what keeps the work from being done, for longer than anybody should wait.
func (e *Engine) hindrance(o ResyncOptions, b state.Backlog) error {
	if d, is := e.Deferred(); is && concerns(o, d.Class) {
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

// concerns tells whether a refusal of class keeps back what o waits for: of a single asset, that is its
// reading and its bytes.
func concerns(o ResyncOptions, class grant.Class) bool {
	return o.AssetID == "" || slices.Contains([]grant.Class{grant.Webhook, grant.Manual, grant.Incremental}, class)
}
