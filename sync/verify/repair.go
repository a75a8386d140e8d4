package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
)

// repairAndWait repairs what the run found and waits until the work is done, as a resync does, beside a daemon or
// without one.
func (v *Verifier) repairAndWait(ctx context.Context, run state.Run, targets []Target, result *Result, o Options) error {
	if err := v.Engine.Prepare(ctx); err != nil {
		return err
	}
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Rule.Name()
	}
	return v.Engine.Working(ctx, names, func(ctx context.Context) error {
		err := v.repairAll(ctx, run, targets, result, o)
		if err != nil {
			return err
		}
		result.Backlog, err = v.Backlog.Wait(ctx, backlog.Options{
			Targets: names, Poll: o.Poll, Progress: func(b state.Backlog) { o.Progress(Progress{Backlog: &b}) },
		})
		return err
	})
}

// repairAll turns what was found into work. A repair that waits for a person is an error in its target's result.
func (v *Verifier) repairAll(ctx context.Context, run state.Run, targets []Target, result *Result, o Options) error {
	for i := range result.Targets {
		tv := &result.Targets[i]
		r := repair{&comparison{by: v, run: run, target: targets[i], o: o, counted: &counters{}}}
		err := r.repair(ctx, tv)
		var held *RepairHeld
		switch {
		case errors.As(err, &held):
			tv.Err = err
			v.Log.Error().Str("target", tv.Target).Int64("differing", held.Differing).Int64("allowed", held.Allowed).Msg("repair is held: " + held.Error())
		case err != nil:
			return err
		}
	}
	return nil
}

// repair turns the drift of one target into work. It looks at each object once more, since time has passed.
type repair struct{ *comparison }

func (r *repair) repair(ctx context.Context, tv *TargetResult) error {
	var empty *EmptyTargetError
	if errors.As(tv.Err, &empty) && r.o.All {
		n, err := r.by.Repairs.ForgetTarget(ctx, r.name())
		tv.Repaired, tv.Err = n, nil
		return err
	}
	if tv.Err != nil {
		return nil
	}
	if err := r.withinLimit(ctx, tv); err != nil {
		return err
	}
	for after := int64(0); ; {
		found, last, err := r.by.Drift.Drifted(ctx, r.run, r.name(), after, batchSize)
		if err != nil || len(found) == 0 {
			return err
		}
		after = last
		if err := r.repairBatch(ctx, found, tv); err != nil {
			return err
		}
	}
}

// withinLimit holds a repair that would write more objects than the target's removal_limit: a wrong place looks like a
// place where everything is missing.
func (r *repair) withinLimit(ctx context.Context, tv *TargetResult) error {
	differing := tv.Counts[state.DriftMissing] + tv.Counts[state.DriftChanged]
	present, err := r.by.Drift.CountPlaced(ctx, r.name())
	if err != nil || r.o.All {
		return err
	}
	allowed := int64(r.target.Rule.RemovalLimit().Allowed(state.Wave{Present: present}))
	if differing > allowed {
		return &RepairHeld{Target: r.name(), Differing: differing, Allowed: allowed}
	}
	return nil
}

func (r *repair) repairBatch(ctx context.Context, found []state.Drift, tv *TargetResult) error {
	var differing, orphaned []state.Drift
	for _, f := range found {
		d, err := r.confirm(ctx, f.AssetID, f.Path)
		var failed *lookError
		if errors.As(err, &failed) {
			if _, err = r.unverified(ctx, failed); err == nil { // it stays as it was found
				r.by.Log.Warn().Err(failed).Str("target", r.name()).Str("asset_id", f.AssetID).Msg("drift is not repaired: looking at the object failed")
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
		n, err := r.by.Repairs.Repair(ctx, r.run, r.name(), differing)
		if err != nil {
			return err
		}
		tv.Repaired += n
	}
	return r.retire(ctx, orphaned, tv)
}

// lookupPatience is how long a repair waits for the library's answer about orphans that the mirror does not know. Those
// without one by then are left for the next verification.
const lookupPatience = 2 * time.Minute

// retire hands orphans to the removal guard. One that the mirror does not know may be new, or unknown to a database
// restored from an older copy: it is looked up first, and only the library's 404 removes the object.
func (r *repair) retire(ctx context.Context, orphaned []state.Drift, tv *TargetResult) error {
	if len(orphaned) == 0 {
		return nil
	}
	ids := make([]string, len(orphaned))
	for i, d := range orphaned {
		ids[i] = d.AssetID
	}
	unknown, err := r.by.Repairs.Unmirrored(ctx, ids)
	if err != nil {
		return err
	}
	if err := r.askLibrary(ctx, unknown); err != nil {
		return err
	}
	// The mirror may have learned that an orphan belongs there.
	if err := r.by.Planner.PlanAssets(ctx, r.observation(), ids); err != nil {
		return err
	}
	retired, wanted, err := r.by.Repairs.RetireOrphans(ctx, r.run, r.name(), "found by verify: no placement wants it there", orphaned)
	tv.Retired, tv.Repaired = tv.Retired+retired, tv.Repaired+wanted
	return err
}

// observation returns the observation of a repair: a scheduled one is less urgent than the work of people and editors.
func (r *repair) observation() state.Observation {
	class := grant.Sweep
	if r.o.Repair {
		class = grant.Manual
	}
	return state.Observation{Kind: state.KindVerify, RunID: r.run.ID, Class: class}
}

func (r *repair) askLibrary(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	refs := make([]state.Ref, len(ids))
	for i, id := range ids {
		refs[i] = state.Ref{ID: id}
	}
	if err := r.by.Repairs.RequestLookups(ctx, r.observation(), grant.Manual, true, refs); err != nil {
		return err
	}
	poll := r.o.Poll
	if poll == 0 {
		poll = backlog.Poll
	}
	for end := time.Now().Add(lookupPatience); time.Now().Before(end); {
		n, err := r.by.Repairs.PendingLookups(ctx, ids)
		if err != nil || n == 0 {
			return err
		}
		if d, deferred := r.by.Engine.Deferred(); deferred {
			return d
		}
		r.o.Progress(Progress{Target: r.name(), Backlog: &state.Backlog{Lookups: n}})
		if err := loop.Pause(ctx, poll); err != nil {
			return fmt.Errorf("wait for the library: %w", context.Cause(ctx))
		}
	}
	return nil
}
