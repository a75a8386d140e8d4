// Package backlog waits until the work that a command has caused is done.
package backlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/source"
)

const (
	// Poll is how often the backlog is counted while it is waited for.
	Poll = 500 * time.Millisecond
	// patience is how long a library that answers nothing is waited for.
	patience = 2 * time.Minute
)

// Store counts the work that is not done.
type Store interface {
	Now(ctx context.Context) (time.Time, error)
	Backlog(ctx context.Context, scope state.BacklogScope) (state.Backlog, error)
}

// Waiter waits for work to be done.
type Waiter struct {
	Store  Store
	Source *source.Source
}

// Options says what to wait for.
type Options struct {
	Targets  []string
	AssetID  string // only this asset; empty: all
	Progress func(state.Backlog)
	Poll     time.Duration // how often progress is reported; Poll when zero
	Patience time.Duration // for a library that answers nothing; 2 minutes when zero
}

// Wait returns when nothing is left of what was requested and planned up to now, and of what is planned from lookups
// that were requested up to now. It does not wait for what others request meanwhile. A *grant.Deferred error: the quota
// keeps the work from being done. cmp.ErrAuth: the login is refused. A library that answers nothing for longer than
// Patience ends the wait too.
func (w *Waiter) Wait(ctx context.Context, o Options) (state.Backlog, error) {
	if o.Poll == 0 {
		o.Poll = Poll
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	c := counting{store: w.Store, scope: state.BacklogScope{Targets: o.Targets, AssetID: o.AssetID}}
	var err error
	if c.scope.Requested, err = w.Store.Now(ctx); err != nil {
		return state.Backlog{}, err
	}
	for {
		b, err := c.count(ctx)
		if err != nil {
			return b, err
		}
		o.Progress(b)
		if b.Lookups == 0 && b.Placements == 0 && b.Waiting == 0 {
			return b, nil
		}
		if err := w.hindrance(o, b); err != nil {
			return b, err
		}
		if err := loop.Pause(ctx, o.Poll); err != nil {
			return b, context.Cause(ctx)
		}
	}
}

// counting counts the work of a scope that grows until everything requested has been read.
type counting struct {
	store Store
	scope state.BacklogScope
	read  bool // everything requested has been read, so that scope.Planned stays
}

// count returns what is left. While something has to be read, what is planned from it keeps coming.
func (c *counting) count(ctx context.Context) (state.Backlog, error) {
	b, err := c.upToNow(ctx)
	if err != nil || c.read || b.Lookups > 0 {
		return b, err
	}
	b, err = c.upToNow(ctx) // the last lookup may have planned something since
	c.read = true
	return b, err
}

func (c *counting) upToNow(ctx context.Context) (state.Backlog, error) {
	if !c.read {
		var err error
		if c.scope.Planned, err = c.store.Now(ctx); err != nil {
			return state.Backlog{}, err
		}
	}
	return c.store.Backlog(ctx, c.scope)
}

// hindrance returns what keeps the work from being done for longer than a person should wait.
func (w *Waiter) hindrance(o Options, b state.Backlog) error {
	if d, deferred := w.Source.Deferred(); deferred && concerns(o, b, d.Class) {
		return d
	}
	if b.Lookups == 0 {
		return nil
	}
	if f := w.Source.Failure(); f != nil && errors.Is(f.Err, cmp.ErrAuth) {
		return fmt.Errorf("%d assets cannot be read: %w", b.Lookups, f.Err)
	}
	if since, err := w.Source.Breaker.Outage(); err != nil && time.Since(since) > o.Patience {
		return fmt.Errorf("%d assets cannot be read, the library has answered nothing since %s: %w", b.Lookups, since.Format(time.TimeOnly), err)
	}
	return nil
}

// concerns reports whether a refusal of class keeps back what is waited for: the most urgent lookup that is left, or one
// as urgent, and the bytes of what is to be put.
func concerns(o Options, b state.Backlog, class grant.Class) bool {
	if b.Lookups > 0 {
		return b.Urgent.Rank() >= class.Rank()
	}
	return o.AssetID == "" || class.Rank() <= grant.Incremental.Rank()
}
