package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// repairAndWait repairs what the run has found and waits until the work is done, as
// a resync does, beside a daemon and without one.
func (e *Engine) repairAndWait(ctx context.Context, run state.Run, targets []Target, result *VerifyResult, o VerifyOptions) error {
	if err := e.RefreshReferences(ctx, grant.Manual); err != nil {
		return err
	}
	if err := e.PlanStale(ctx); err != nil {
		return err
	}
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Rule.Name()
	}
	return e.working(ctx, names, func(ctx context.Context) error {
		err := e.repairAll(ctx, run, targets, result, o)
		if err != nil {
			return err
		}
		result.Backlog, err = e.drain(ctx, ResyncOptions{
			Targets: names, Poll: o.Poll, Progress: func(p ResyncProgress) { o.Progress(VerifyProgress{Backlog: &p.Backlog}) },
		}, SweepProgress{})
		return err
	})
}

// repairAll makes work of what was found. What waits for a person is in the
// result, target by target.
func (e *Engine) repairAll(ctx context.Context, run state.Run, targets []Target, result *VerifyResult, o VerifyOptions) error {
	for i := range result.Targets {
		tv := &result.Targets[i]
		r := repairing{verifying{e: e, run: run, target: targets[i], o: o, counted: &verifyCounters{}}}
		err := r.repair(ctx, tv)
		var held *RepairHeld
		switch {
		case errors.As(err, &held):
			tv.Err = err
			e.log.Error().Str("target", tv.Target).Int64("differing", held.Differing).Int64("allowed", held.Allowed).Msg("repair is held: " + held.Error())
		case err != nil:
			return err
		}
	}
	return nil
}

// repairing turns the drift of one target into work. It looks at each object once
// more, since time has passed.
type repairing struct{ verifying }

func (r *repairing) repair(ctx context.Context, tv *TargetVerification) error {
	var empty *EmptyTargetError
	if errors.As(tv.Err, &empty) && r.o.All {
		n, err := r.e.store.ForgetTarget(ctx, r.name())
		tv.Repaired, tv.Err = n, nil
		return err
	}
	if tv.Err != nil {
		return nil
	}
	if err := r.admitRepair(ctx, tv); err != nil {
		return err
	}
	for after := int64(0); ; {
		found, last, err := r.e.store.Drifted(ctx, r.run, r.name(), after, verifyBatch)
		if err != nil || len(found) == 0 {
			return err
		}
		after = last
		if err := r.repairBatch(ctx, found, tv); err != nil {
			return err
		}
	}
}

// admitRepair holds a repair that would write over more than the target's
// removal_limit: a wrong place looks like a place where everything is missing.
func (r *repairing) admitRepair(ctx context.Context, tv *TargetVerification) error {
	differing := tv.Counts[state.DriftMissing] + tv.Counts[state.DriftChanged]
	present, err := r.e.store.CountPlaced(ctx, r.name())
	if err != nil || r.o.All {
		return err
	}
	allowed := int64(r.target.Rule.RemovalLimit().Allowance(plan.Wave{Present: present}))
	if differing > allowed {
		return &RepairHeld{Target: r.name(), Differing: differing, Allowed: allowed}
	}
	return nil
}

func (r *repairing) repairBatch(ctx context.Context, found []state.Drift, tv *TargetVerification) error {
	var differing, orphaned []state.Drift
	for _, f := range found {
		d, err := r.confirm(ctx, f.AssetID, f.Path)
		var failed *lookError
		if errors.As(err, &failed) {
			if _, err = r.unjudged(ctx, failed); err == nil { // it stays as it was found
				r.e.log.Warn().Err(failed).Str("target", r.name()).Str("asset_id", f.AssetID).Msg("drift is not repaired: the object could not be looked at")
			}
		}
		switch {
		case err != nil:
			return err
		case d.Kind == state.DriftOrphaned:
			orphaned = append(orphaned, d.Drift)
		case d.Kind != "":
			differing = append(differing, d.Drift)
		}
	}
	if len(differing) > 0 {
		n, err := r.e.store.Repair(ctx, r.run, r.name(), differing)
		if err != nil {
			return err
		}
		tv.Repaired += n
	}
	return r.retire(ctx, orphaned, tv)
}

// lookupPatience is how long a repair waits for the library's word on orphans that the
// mirror does not know. What has none by then is left for the next verification.
const lookupPatience = 2 * time.Minute

// retire gives orphans to the removal gate. One that the mirror has never heard of
// may be new, or forgotten by a database restored from an older copy: the library
// is asked first, and only its 404 makes it one to be removed.
func (r *repairing) retire(ctx context.Context, orphaned []state.Drift, tv *TargetVerification) error {
	if len(orphaned) == 0 {
		return nil
	}
	ids := make([]string, len(orphaned))
	for i, d := range orphaned {
		ids[i] = d.AssetID
	}
	unknown, err := r.e.store.Unmirrored(ctx, ids)
	if err != nil {
		return err
	}
	if err := r.askLibrary(ctx, unknown); err != nil {
		return err
	}
	// The mirror may know by now that one belongs there.
	err = r.e.withRules(func() error {
		return r.e.store.PlanAssets(ctx, state.Observation{Kind: state.KindVerify, RunID: r.run.ID}, ids, r.e.decide)
	})
	if err != nil {
		return err
	}
	retired, wanted, err := r.e.store.RetireOrphans(ctx, r.run, r.name(), "found by verify: no placement wants it there", orphaned)
	tv.Retired, tv.Repaired = tv.Retired+retired, tv.Repaired+wanted
	return err
}

func (r *repairing) askLibrary(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	refs := make([]state.Ref, len(ids))
	for i, id := range ids {
		refs[i] = state.Ref{ID: id}
	}
	if err := r.e.store.WantLookups(ctx, state.Observation{Kind: state.KindVerify, RunID: r.run.ID}, grant.Manual, true, refs); err != nil {
		return err
	}
	for end := time.Now().Add(lookupPatience); time.Now().Before(end); {
		n, err := r.e.store.PendingLookups(ctx, ids)
		if err != nil || n == 0 {
			return err
		}
		if d, is := r.e.Deferred(); is {
			return d
		}
		r.o.Progress(VerifyProgress{Target: r.name(), Backlog: &state.Backlog{Lookups: n}})
		if err := pause(ctx, r.o.Poll); err != nil {
			return fmt.Errorf("wait for the library: %w", context.Cause(ctx))
		}
	}
	return nil
}
