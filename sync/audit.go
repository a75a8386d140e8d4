package sync

import (
	"context"
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/observe"
)

// ErrNoMirror is the error class of an audit before the library was ever read in full.
var ErrNoMirror = errors.New("the library was never read in full, so there is nothing to compare it with: run damsync serve or damsync resync first")

// Audit audits the whole library by hand and, when it found something, waits until that is looked up and pushed, with
// everything else that waits. It works beside a daemon and without one. It waits for an audit that is running, then
// audits the library again. For its errors see observe.Auditor.Audit.
func (e *Engine) Audit(ctx context.Context, progress func(observe.AuditProgress), work func(state.Backlog)) (observe.AuditResult, state.Backlog, error) {
	var result observe.AuditResult
	var left state.Backlog
	mirrored, err := e.auditor.Mirrored(ctx)
	if err != nil {
		return result, left, err
	}
	if !mirrored {
		return result, left, ErrNoMirror
	}
	if err := e.planner.UseKnown(ctx); err != nil {
		return result, left, err
	}
	err = e.working(ctx, nil, func(ctx context.Context) (err error) {
		if err := e.waitIdle(ctx); err != nil {
			return err
		}
		result, err = e.auditInTurn(ctx, observe.AuditOptions{Class: grant.Manual, RequestedBy: "audit", Progress: progress})
		if err != nil || !result.Found() {
			return err
		}
		o := ResyncOptions{Progress: func(p ResyncProgress) { work(p.Backlog) }}
		left, err = e.waitForWork(ctx, o, observe.SweepProgress{})
		return err
	})
	return result, left, err
}

// idleLimit bounds how long an audit waits for open lookups.
const idleLimit = time.Minute

// waitIdle waits until the assets are looked up that may be new or gone: counts that change with each of them prove
// nothing. It does not wait long, nor for lookups that the quota defers.
func (e *Engine) waitIdle(ctx context.Context) error {
	for start := time.Now(); time.Since(start) < idleLimit; {
		n, err := e.stores.Polls.CountOpenLookups(ctx, 1)
		if _, deferred := e.Deferred(); err != nil || n == 0 || deferred {
			return err
		}
		if err := loop.Pause(ctx, backlog.Poll); err != nil {
			return err
		}
	}
	return nil
}

// auditInTurn waits for an audit of another process to end.
func (e *Engine) auditInTurn(ctx context.Context, o observe.AuditOptions) (observe.AuditResult, error) {
	for {
		result, err := e.auditor.Audit(ctx, o)
		if !errors.Is(err, state.ErrRunning) {
			return result, err
		}
		if err := loop.Pause(ctx, time.Second); err != nil {
			return result, err
		}
	}
}
