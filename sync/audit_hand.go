package sync

import (
	"context"
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// ErrNoMirror is the class of an audit before the library was ever read in full.
var ErrNoMirror = errors.New("the library was never read in full, so that there is nothing to compare it with: run damsync serve or damsync resync first")

// AuditByHand audits the whole library and, when it found something, waits until that is looked up
// and pushed, with all else that waits. It works beside a daemon and without one. An audit that is running is waited for, then the
// library is audited anew. For its errors see Audit.
func (e *Engine) AuditByHand(ctx context.Context, progress func(AuditProgress), drain func(state.Backlog)) (AuditResult, state.Backlog, error) {
	var result AuditResult
	var left state.Backlog
	swept, err := e.store.Observation(ctx, state.KindSweep)
	if err != nil {
		return result, left, err
	}
	if !mirrored(swept) {
		return result, left, ErrNoMirror
	}
	if err := e.useKnownRules(ctx); err != nil {
		return result, left, err
	}
	err = e.working(ctx, nil, func(ctx context.Context) (err error) {
		if err := e.rest(ctx); err != nil {
			return err
		}
		result, err = e.auditInTurn(ctx, AuditOptions{Class: grant.Manual, RequestedBy: "audit", Progress: progress})
		if err != nil || !result.Found() {
			return err
		}
		o := ResyncOptions{Poll: drainPoll, Progress: func(p ResyncProgress) { drain(p.Backlog) }}
		left, err = e.drain(ctx, o, SweepProgress{})
		return err
	})
	return result, left, err
}

// restLimit bounds how long an audit waits for the mirror to come to rest.
const restLimit = time.Minute

// rest waits until the assets are looked up that may be new or gone: counts that change with
// each of them prove nothing. Not for long, and not for those that the quota defers.
func (e *Engine) rest(ctx context.Context) error {
	for start := time.Now(); time.Since(start) < restLimit; {
		n, err := e.store.CountOpenLookups(ctx, 1)
		if _, deferred := e.Deferred(); err != nil || n == 0 || deferred {
			return err
		}
		if err := pause(ctx, drainPoll); err != nil {
			return err
		}
	}
	return nil
}

// auditInTurn waits for an audit of another process to end.
func (e *Engine) auditInTurn(ctx context.Context, o AuditOptions) (AuditResult, error) {
	for {
		result, err := e.Audit(ctx, o)
		if !errors.Is(err, state.ErrRunning) {
			return result, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return result, err
		}
	}
}
