package sync

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"damsync/dam"
	"damsync/internal/state"
)

const (
	verifyBatch   = 500 // objects held against their placements at once
	verifyWorkers = 4   // looks at the target at once
	// foreignKept is how many foreign objects of a target are recorded by path. All
	// are counted.
	foreignKept = 10_000
)

// verifying is the verification of one target.
type verifying struct {
	e       *Engine
	run     state.Run
	target  Target
	o       VerifyOptions
	counted *verifyCounters

	mu     sync.Mutex // over what follows
	result TargetVerification
	placed int
	found  []state.Drift // not yet recorded
}

func (v *verifying) name() string { return v.target.Rule.Name() }

// verify lists the target, in memory that does not grow with it: what was listed is noted
// in the database, from where what was not is read afterwards.
func (v *verifying) verify(ctx context.Context) (TargetVerification, error) {
	v.result.Verification = state.Verification{
		Target: v.name(), Depth: string(v.o.Depth), RunID: v.run.ID, StartedAt: v.run.StartedAt, Counts: state.DriftCounts{},
	}
	if err := v.compareAll(ctx); err != nil {
		return v.result, err
	}
	if err := v.e.store.EndVerification(ctx, v.result.Verification); err != nil {
		return v.result, err
	}
	c := v.result.Counts
	v.e.log.Info().Str("target", v.name()).Str("depth", string(v.o.Depth)).Int64("run_id", v.run.ID).Int64("listed", v.result.Listed).
		Int64("missing", c[state.DriftMissing]).Int64("changed", c[state.DriftChanged]).Int64("orphaned", c[state.DriftOrphaned]).
		Int64("foreign", c[state.DriftForeign]).Int64("unjudged", c[state.DriftUnjudged]).Msg("target verified")
	return v.result, nil
}

func (v *verifying) compareAll(ctx context.Context) error {
	var err error
	if v.placed, err = v.e.store.CountPlaced(ctx, v.name()); err != nil {
		return err
	}
	if err := v.check(ctx); err != nil {
		return err
	}
	if err := v.listed(ctx); err != nil {
		return fmt.Errorf("list target %s: %w", v.name(), err)
	}
	if v.result.Listed == 0 && v.placed > 0 {
		return &EmptyTargetError{Target: v.name(), Placed: v.placed}
	}
	return v.unlisted(ctx)
}

// check asks the target whether it is the place that was pushed to. Who repairs
// whatever it takes may have emptied it.
func (v *verifying) check(ctx context.Context) error {
	populated, err := v.e.store.HasPlacements(ctx, v.name())
	if err != nil {
		return err
	}
	if err := v.target.Adapter.Check(ctx, populated && !(v.o.Repair && v.o.All)); err != nil {
		return fmt.Errorf("check target %s: %w", v.name(), err)
	}
	return nil
}

// listed judges everything that the target lists, a batch at a time.
func (v *verifying) listed(ctx context.Context) error {
	batch := make([]dam.Remote, 0, verifyBatch)
	for r, err := range v.target.Adapter.List(ctx) {
		if err != nil {
			return err
		}
		if batch = append(batch, r); len(batch) < verifyBatch {
			continue
		}
		if err := v.judgeListed(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return v.judgeListed(ctx, batch)
}

func (v *verifying) judgeListed(ctx context.Context, batch []dam.Remote) error {
	var ids, foreign []string
	var ours []dam.Remote
	for _, r := range batch {
		if r.State == dam.Foreign {
			foreign = append(foreign, r.Path)
			continue
		}
		ids, ours = append(ids, r.Mark.AssetID), append(ours, r)
	}
	if err := v.foreign(ctx, foreign); err != nil {
		return err
	}
	if err := v.e.store.NoteListed(ctx, v.run, v.name(), ids); err != nil {
		return err
	}
	placed, err := v.e.store.Placed(ctx, v.name(), ids)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(verifyWorkers)
	for _, r := range ours {
		p, known := placed[r.Mark.AssetID]
		g.Go(func() error { return v.judgeOne(gctx, p, known, r) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	v.result.Listed += int64(len(ours))
	v.counted.listed.Add(int64(len(ours)))
	return v.flush(ctx)
}

// judgeOne holds one object of the list against its placement, and looks
// again when they differ: a list is no snapshot.
func (v *verifying) judgeOne(ctx context.Context, p state.Placed, known bool, r dam.Remote) error {
	if p.Moving {
		return nil
	}
	d, err := v.judge(ctx, p, known, r)
	var failed *lookError
	switch {
	case errors.As(err, &failed): // for a moment, perhaps
	case err != nil || d.Kind == "" && !d.unproven:
		return err
	}
	return v.suspect(ctx, r.Mark.AssetID, r.Path, r.Ref)
}

// suspect confirms what differs and notes it.
func (v *verifying) suspect(ctx context.Context, assetID string, hints ...string) error {
	d, err := v.confirm(ctx, assetID, hints...)
	var failed *lookError
	if errors.As(err, &failed) {
		d.Drift, err = v.unjudged(ctx, failed)
	}
	if err != nil {
		return err
	}
	if d.Kind != "" {
		v.note(d.Drift)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.unproven {
		v.result.Unproven++
	}
	return nil
}

// confirm looks for the object itself. What moved meanwhile says nothing.
func (v *verifying) confirm(ctx context.Context, assetID string, hints ...string) (verdict, error) {
	before, known, err := v.placement(ctx, assetID)
	if err != nil || before.Moving {
		return verdict{}, err
	}
	held, err := v.e.store.HeldPaths(ctx, state.Work{Target: v.name(), AssetID: assetID})
	if err != nil {
		return verdict{}, err
	}
	hints = append([]string{before.Applied.Path, before.Applied.Ref, before.Desired.Path}, append(hints, held...)...)
	r, err := v.target.Adapter.Find(ctx, dam.Key{Instance: v.e.instance, AssetID: assetID}, hintsOf(hints...))
	if err != nil {
		return verdict{}, &lookError{assetID: assetID, path: hints[0], err: fmt.Errorf("look for asset %s: %w", assetID, err)}
	}
	d, err := v.judge(ctx, before, known, r)
	if err != nil {
		return verdict{}, err
	}
	after, _, err := v.placement(ctx, assetID)
	if err != nil || after.Moving || after.Generation != before.Generation || after.Applied.Generation != before.Applied.Generation {
		return verdict{}, err
	}
	d.AssetID, d.Of, d.Found = assetID, before, foundObject(r)
	return d, nil
}

func (v *verifying) placement(ctx context.Context, assetID string) (state.Placed, bool, error) {
	placed, err := v.e.store.Placed(ctx, v.name(), []string{assetID})
	p, known := placed[assetID]
	return p, known, err
}

// unlisted looks for each placement that the list did not show.
func (v *verifying) unlisted(ctx context.Context) error {
	for after := ""; ; {
		ids, err := v.e.store.Unlisted(ctx, v.run, v.name(), after, verifyBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(verifyWorkers)
		for _, id := range ids {
			g.Go(func() error { return v.suspect(gctx, id) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := v.flush(ctx); err != nil {
			return err
		}
	}
}

// foreign notes what carries no mark, unless it is ours on its way.
func (v *verifying) foreign(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	moving, err := v.e.store.ClaimedInMotion(ctx, v.run, v.name(), paths)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if !moving[p] {
			v.note(state.Drift{Kind: state.DriftForeign, Path: p, Differs: "without the mark of this target"})
		}
	}
	return nil
}

func (v *verifying) note(d state.Drift) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Counts[d.Kind]++
	v.counted.drift.Add(1)
	if d.Kind != state.DriftForeign || v.result.Counts[d.Kind] <= foreignKept {
		v.found = append(v.found, d)
	}
}

// flush records what was found since and tells how far this is.
func (v *verifying) flush(ctx context.Context) error {
	v.mu.Lock()
	found := v.found
	v.found = nil
	v.mu.Unlock()
	v.o.Progress(VerifyProgress{
		Target: v.name(), Listed: v.result.Listed, Placed: v.placed, Bytes: v.counted.bytes.Load(), Drift: v.result.Counts.Total(),
	})
	if len(found) == 0 {
		return nil
	}
	return v.e.store.AddDrift(ctx, v.run, v.name(), found)
}
