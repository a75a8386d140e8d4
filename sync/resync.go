package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// ResyncOptions says what to bring up to date by hand.
type ResyncOptions struct {
	Full     bool     // also read anew every detail that a rule needs
	AssetID  string   // only this asset; empty: the whole library
	Targets  []string // push to these, and wait for them; all when empty
	Progress func(ResyncProgress)
	Poll     time.Duration // how often progress is told; 500 ms when zero
	Patience time.Duration // for a library that answers nothing; 2 minutes when zero
}

// ResyncProgress is how far a resync got.
type ResyncProgress struct {
	Phase   string // references, sweep, details, targets
	Sweep   SweepProgress
	Backlog state.Backlog
	Depth   state.FirstLight // how far the reading in depth of many assets got; zero when none is left
}

// ResyncResult is what a resync left behind.
type ResyncResult struct {
	Sweep   SweepProgress
	Backlog state.Backlog
}

// Resync observes the library by hand and waits until the work that this caused
// is done: in sync, failed for now, or held. It works beside a daemon and
// without one. A *grant.Deferred error: the quota is spent, and the work goes on by
// itself when it is not. cmp.ErrAuth: the login is refused.
func (e *Engine) Resync(ctx context.Context, o ResyncOptions) (ResyncResult, error) {
	if o.Progress == nil {
		o.Progress = func(ResyncProgress) {}
	}
	if o.Poll == 0 {
		o.Poll = drainPoll
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
	if err := e.RefreshReferences(ctx, grant.Manual); err != nil {
		return result, err
	}
	switch {
	case o.AssetID != "":
		obs := state.Observation{Kind: state.KindResync}
		if err := e.store.WantLookups(ctx, obs, grant.Manual, false, []state.Ref{{ID: o.AssetID}}); err != nil {
			return result, err
		}
	default:
		var err error
		if result.Sweep, err = e.sweepByHand(ctx, o); err != nil {
			return result, err
		}
	}
	if err := e.PlanStale(ctx); err != nil {
		return result, err
	}
	if o.Full && o.AssetID == "" { // a single asset has just been read in full
		if err := e.readDetailsAnew(ctx, o); err != nil {
			return result, err
		}
	}
	var err error
	if result.Backlog, err = e.drain(ctx, o, result.Sweep); err != nil || o.AssetID == "" {
		return result, err
	}
	_, known, err := e.store.KnownAssets(ctx, []string{o.AssetID})
	if err == nil && len(known) == 0 && result.Backlog.LookupsFailed == 0 {
		err = unknownAsset(o.AssetID)
	}
	return result, err
}

func unknownAsset(id string) error {
	return fmt.Errorf("asset %s: neither the library nor the mirror has it", id)
}

// sweepByHand waits for a sweep that is running, then reads the library itself: what
// that one passed before the call could have changed since.
func (e *Engine) sweepByHand(ctx context.Context, o ResyncOptions) (SweepProgress, error) {
	for {
		p, err := e.Sweep(ctx, SweepOptions{
			Class: grant.Manual, RequestedBy: "resync", AllSuspects: o.Full,
			Progress: func(p SweepProgress) { o.Progress(ResyncProgress{Phase: "sweep", Sweep: p}) },
		})
		if err == nil && p.Resumed {
			continue // it has read only what was left over
		}
		if !errors.Is(err, state.ErrRunning) {
			return p, err
		}
		o.Progress(ResyncProgress{Phase: "sweep of another process"})
		if err := pause(ctx, time.Second); err != nil {
			return p, err
		}
	}
}

// readDetailsAnew asks for every detail that a rule needs, known or not:
// detail and fields may change without modified_at moving.
func (e *Engine) readDetailsAnew(ctx context.Context, o ResyncOptions) error {
	const batch = 1000
	o.Progress(ResyncProgress{Phase: "details"})
	obs := state.Observation{Kind: state.KindResync}
	var wanted []state.Ref
	flush := func() error {
		err := e.store.WantLookups(ctx, obs, grant.Manual, false, wanted)
		wanted = wanted[:0]
		return err
	}
	unread := func(now time.Time, k state.Known) state.Verdict {
		k.Detail, k.Fields = nil, nil
		return e.decide(now, k)
	}
	err := e.store.Preview(ctx, unread, func(k state.Known, v state.Verdict) error {
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
		return fmt.Errorf("ask for details: %w", err)
	}
	return flush()
}
