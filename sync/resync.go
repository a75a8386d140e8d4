package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/observe"
)

// ResyncOptions says what to bring up to date by hand.
type ResyncOptions struct {
	Full     bool     // also read again every detail that a rule needs
	AssetID  string   // only this asset; empty: the whole library
	Targets  []string // push to these and wait for them; all when empty
	Progress func(ResyncProgress)
	Poll     time.Duration // how often progress is reported; backlog.Poll when zero
	Patience time.Duration // for a library that answers nothing; 2 minutes when zero
}

// ResyncProgress is how far a resync got.
type ResyncProgress struct {
	Phase   string // references, sweep, details, targets
	Sweep   observe.SweepProgress
	Backlog state.Backlog
	// Backfill is how far the reading of many details got, as of at most half a minute ago; zero when no
	// details are left.
	Backfill state.Backfill
}

// backfillGap is the least time between two counts of the backfill.
const backfillGap = 30 * time.Second

// ResyncResult is the outcome of a resync.
type ResyncResult struct {
	Sweep   observe.SweepProgress
	Backlog state.Backlog
}

// Resync observes the library by hand and waits until the resulting work is done: in sync, failed for now, or held. It
// works beside a daemon and without one. A *grant.Deferred error: the quota is spent, and the work goes on by itself
// when it is not. cmp.ErrAuth: the login is refused.
func (e *Engine) Resync(ctx context.Context, o ResyncOptions) (ResyncResult, error) {
	if o.Progress == nil {
		o.Progress = func(ResyncProgress) {}
	}
	var result ResyncResult
	err := e.working(ctx, o.Targets, func(ctx context.Context) (err error) {
		result, err = e.resync(ctx, o)
		return err
	})
	return result, err
}

func (e *Engine) resync(ctx context.Context, o ResyncOptions) (ResyncResult, error) {
	var result ResyncResult
	o.Progress(ResyncProgress{Phase: "references"})
	if err := e.references.Refresh(ctx, grant.Manual); err != nil {
		return result, err
	}
	if o.AssetID != "" {
		if err := e.stores.Mirror.RequestLookups(ctx, byHand(), grant.Manual, false, []state.Ref{{ID: o.AssetID}}); err != nil {
			return result, err
		}
	} else {
		var err error
		if result.Sweep, err = e.sweepByHand(ctx, o); err != nil {
			return result, err
		}
	}
	if err := e.planner.PlanStale(ctx); err != nil {
		return result, err
	}
	if o.Full && o.AssetID == "" { // a single asset has just been read in full
		if err := e.readDetailsAgain(ctx, o); err != nil {
			return result, err
		}
	}
	var err error
	if result.Backlog, err = e.waitForWork(ctx, o, result.Sweep); err != nil || o.AssetID == "" {
		return result, err
	}
	_, known, err := e.stores.Preview.Snapshots(ctx, []string{o.AssetID})
	if err == nil && len(known) == 0 && result.Backlog.LookupsFailed == 0 {
		err = unknownAsset(o.AssetID)
	}
	return result, err
}

func byHand() state.Observation {
	return state.Observation{Kind: state.KindResync, Class: grant.Manual}
}

func unknownAsset(id string) error {
	return fmt.Errorf("asset %s: neither the library nor the mirror has it", id)
}

func (e *Engine) waitForWork(ctx context.Context, o ResyncOptions, sweep observe.SweepProgress) (state.Backlog, error) {
	targets := o.Targets
	if len(targets) == 0 {
		for _, t := range e.targets {
			targets = append(targets, t.Rule.Name())
		}
	}
	p, counted := ResyncProgress{Phase: "targets", Sweep: sweep}, time.Time{}
	return e.backlog.Wait(ctx, backlog.Options{
		Targets: targets, AssetID: o.AssetID, Poll: o.Poll, Patience: o.Patience,
		Progress: func(b state.Backlog) {
			if p.Backlog = b; time.Since(counted) > backfillGap {
				counted = time.Now()
				p.Backfill, _ = e.stores.Details.Backfill(ctx) // a failing database ends the wait by itself
			}
			o.Progress(p)
		},
	})
}

// sweepByHand waits for a sweep that is running, then reads the library itself: what the other one passed before the
// call could have changed since.
func (e *Engine) sweepByHand(ctx context.Context, o ResyncOptions) (observe.SweepProgress, error) {
	for {
		p, err := e.sweeper.Sweep(ctx, observe.SweepOptions{
			Class: grant.Manual, RequestedBy: "resync", AllSuspects: o.Full,
			Progress: func(p observe.SweepProgress) { o.Progress(ResyncProgress{Phase: "sweep", Sweep: p}) },
		})
		if err == nil && p.Resumed {
			continue // it has read only what was left over
		}
		if !errors.Is(err, state.ErrRunning) {
			return p, err
		}
		o.Progress(ResyncProgress{Phase: "sweep of another process"})
		if err := loop.Pause(ctx, time.Second); err != nil {
			return p, err
		}
	}
}

// readDetailsAgain requests every detail that a rule needs, known or not: details and fields may change without
// modified_at moving.
func (e *Engine) readDetailsAgain(ctx context.Context, o ResyncOptions) error {
	const batch = 1000
	o.Progress(ResyncProgress{Phase: "details"})
	var wanted []state.Ref
	flush := func() error {
		err := e.stores.Mirror.RequestLookups(ctx, byHand(), grant.Manual, false, wanted)
		wanted = wanted[:0]
		return err
	}
	unread := func(now time.Time, k state.Snapshot) state.Decisions {
		k.Detail, k.Fields = nil, nil
		return e.rules.Evaluate(now, k)
	}
	err := e.stores.Preview.Preview(ctx, unread, func(k state.Snapshot, v state.Decisions) error {
		if v.Needs == library.LevelSummary {
			return nil
		}
		wanted = append(wanted, state.Ref{ID: k.Asset.ID, Type: k.Asset.Type, Self: k.Asset.Self})
		if len(wanted) < batch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return fmt.Errorf("request details: %w", err)
	}
	return flush()
}
