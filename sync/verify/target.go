package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/record"
)

const (
	batchSize = 500 // objects compared at once
	workers   = 4   // calls to the target at once
	// foreignKept is how many foreign objects of a target are recorded by path. All are counted.
	foreignKept = 10_000
)

// comparison is the verification of one target.
type comparison struct {
	by      *Verifier
	run     state.Run
	target  Target
	o       Options
	counted *counters

	mu     sync.Mutex // over what follows
	result TargetResult
	placed int
	found  []state.Drift // not yet recorded
}

func (c *comparison) name() string { return c.target.Rule.Name() }

// verify lists the target. Its memory does not grow with the target: what was listed is noted in the database, from
// where the placements that were not are read afterwards.
func (c *comparison) verify(ctx context.Context) (TargetResult, error) {
	c.result.Verification = state.Verification{
		Target: c.name(), Depth: string(c.o.Depth), RunID: c.run.ID, StartedAt: c.run.StartedAt, Counts: state.DriftCounts{},
	}
	if err := c.compareAll(ctx); err != nil {
		return c.result, err
	}
	if err := c.by.Drift.EndVerification(ctx, c.result.Verification); err != nil {
		return c.result, err
	}
	n := c.result.Counts
	c.by.Log.Info().Str("target", c.name()).Str("depth", string(c.o.Depth)).Int64("run_id", c.run.ID).Int64("listed", c.result.Listed).
		Int64("missing", n[state.DriftMissing]).Int64("changed", n[state.DriftChanged]).Int64("orphaned", n[state.DriftOrphaned]).
		Int64("foreign", n[state.DriftForeign]).Int64("unverified", n[state.DriftUnverified]).Msg("target verified")
	return c.result, nil
}

func (c *comparison) compareAll(ctx context.Context) error {
	var err error
	if c.placed, err = c.by.Drift.CountPlaced(ctx, c.name()); err != nil {
		return err
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	if err := c.listed(ctx); err != nil {
		return fmt.Errorf("list target %s: %w", c.name(), err)
	}
	if c.result.Listed == 0 && c.placed > 0 {
		return &EmptyTargetError{Target: c.name(), Placed: c.placed}
	}
	return c.unlisted(ctx)
}

// check checks that the target is the place that was pushed to. It allows an emptied target in a repair of everything.
func (c *comparison) check(ctx context.Context) error {
	populated, err := c.by.Drift.HasPlacements(ctx, c.name())
	if err != nil {
		return err
	}
	if err := c.target.Adapter.Check(ctx, populated && !(c.o.Repair && c.o.All)); err != nil {
		return fmt.Errorf("check target %s: %w", c.name(), err)
	}
	return nil
}

// listed compares everything that the target lists, a batch at a time.
func (c *comparison) listed(ctx context.Context) error {
	batch := make([]dam.Remote, 0, batchSize)
	for r, err := range c.target.Adapter.List(ctx) {
		if err != nil {
			return err
		}
		if batch = append(batch, r); len(batch) < batchSize {
			continue
		}
		if err := c.compareBatch(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return c.compareBatch(ctx, batch)
}

func (c *comparison) compareBatch(ctx context.Context, batch []dam.Remote) error {
	var ids, foreign []string
	var ours []dam.Remote
	for _, r := range batch {
		if r.State == dam.Foreign {
			foreign = append(foreign, r.Path)
			continue
		}
		ids, ours = append(ids, r.Mark.AssetID), append(ours, r)
	}
	if err := c.foreign(ctx, foreign); err != nil {
		return err
	}
	if err := c.by.Drift.NoteListed(ctx, c.run, c.name(), ids); err != nil {
		return err
	}
	placed, err := c.by.Drift.Placed(ctx, c.name(), ids)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, r := range ours {
		p, known := placed[r.Mark.AssetID]
		g.Go(func() error { return c.compareListed(gctx, p, known, r) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.result.Listed += int64(len(ours))
	c.counted.listed.Add(int64(len(ours)))
	return c.flush(ctx)
}

// compareListed compares one object of the list with its placement, and looks at the object itself when they differ: a
// list is no snapshot.
func (c *comparison) compareListed(ctx context.Context, p state.Placed, known bool, r dam.Remote) error {
	if p.Moving {
		return nil
	}
	d, err := c.compare(ctx, p, known, r)
	var failed *lookError
	switch {
	case errors.As(err, &failed): // perhaps only for a moment
	case err != nil || d.Kind == "" && !d.unproven:
		return err
	}
	return c.suspect(ctx, r.Mark.AssetID, r.Path, r.Ref)
}

// suspect confirms a difference and records it.
func (c *comparison) suspect(ctx context.Context, assetID string, hints ...string) error {
	d, err := c.confirm(ctx, assetID, hints...)
	var failed *lookError
	if errors.As(err, &failed) {
		d.Drift, err = c.unverified(ctx, failed)
	}
	if err != nil {
		return err
	}
	if d.Kind != "" {
		c.note(d.Drift)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.unproven {
		c.result.Unproven++
	}
	return nil
}

// confirm looks for the object itself. One that moved meanwhile proves nothing.
func (c *comparison) confirm(ctx context.Context, assetID string, hints ...string) (difference, error) {
	before, known, err := c.placement(ctx, assetID)
	if err != nil || before.Moving {
		return difference{}, err
	}
	held, err := c.by.Drift.HeldPaths(ctx, state.Work{Target: c.name(), AssetID: assetID})
	if err != nil {
		return difference{}, err
	}
	hints = append([]string{before.Applied.Path, before.Applied.Ref, before.Desired.Path}, append(hints, held...)...)
	r, err := c.target.Adapter.Find(ctx, dam.Key{Instance: c.by.Instance, AssetID: assetID}, record.Hints(hints...))
	if err != nil {
		return difference{}, &lookError{assetID: assetID, path: hints[0], err: fmt.Errorf("look for asset %s: %w", assetID, err)}
	}
	d, err := c.compare(ctx, before, known, r)
	if err != nil {
		return difference{}, err
	}
	after, _, err := c.placement(ctx, assetID)
	if err != nil || after.Moving || after.Generation != before.Generation || after.Applied.Generation != before.Applied.Generation {
		return difference{}, err
	}
	d.AssetID, d.Of, d.Found = assetID, before, record.Found(r)
	return d, nil
}

func (c *comparison) placement(ctx context.Context, assetID string) (state.Placed, bool, error) {
	placed, err := c.by.Drift.Placed(ctx, c.name(), []string{assetID})
	p, known := placed[assetID]
	return p, known, err
}

// unlisted looks for the object of each placement that the list did not show.
func (c *comparison) unlisted(ctx context.Context) error {
	for after := ""; ; {
		ids, err := c.by.Drift.Unlisted(ctx, c.run, c.name(), after, batchSize)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(workers)
		for _, id := range ids {
			g.Go(func() error { return c.suspect(gctx, id) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
}

// foreign records objects without an ownership mark, except for unfinished ones of our own.
func (c *comparison) foreign(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	moving, err := c.by.Drift.ClaimedInMotion(ctx, c.run, c.name(), paths)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if !moving[p] {
			c.note(state.Drift{Kind: state.DriftForeign, Path: p, Differs: "without the ownership mark of this target"})
		}
	}
	return nil
}

func (c *comparison) note(d state.Drift) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Counts[d.Kind]++
	c.counted.drift.Add(1)
	if d.Kind != state.DriftForeign || c.result.Counts[d.Kind] <= foreignKept {
		c.found = append(c.found, d)
	}
}

// flush records what was found since the last call and reports progress.
func (c *comparison) flush(ctx context.Context) error {
	c.mu.Lock()
	found := c.found
	c.found = nil
	c.mu.Unlock()
	c.o.Progress(Progress{
		Target: c.name(), Listed: c.result.Listed, Placed: c.placed, Bytes: c.counted.bytes.Load(), Drift: c.result.Counts.Total(),
	})
	if len(found) == 0 {
		return nil
	}
	return c.by.Drift.AddDrift(ctx, c.run, c.name(), found)
}

// lookError is a failed look at one object.
type lookError struct {
	assetID string
	path    string // where it was looked for
	err     error
}

func (e *lookError) Error() string { return e.err.Error() }
func (e *lookError) Unwrap() error { return e.err }

// unverified returns the drift of an object that could not be looked at although the target is usable: only that object
// remains unverified. An unusable target ends the verification instead of reporting each of its objects.
func (c *comparison) unverified(ctx context.Context, failed *lookError) (state.Drift, error) {
	if ctx.Err() != nil {
		return state.Drift{}, failed
	}
	if !ofOneObject(dam.Classify(failed)) {
		if err := c.check(ctx); err != nil {
			return state.Drift{}, fmt.Errorf("%w; then: %w", failed, err)
		}
	}
	return state.Drift{Kind: state.DriftUnverified, AssetID: failed.assetID, Path: failed.path, Differs: failed.Error()}, nil
}

// ofOneObject reports whether an error class concerns one object rather than the target.
func ofOneObject(class dam.Class) bool {
	return class == dam.ClassForeign || class == dam.ClassInvalid || class == dam.ClassNotFound
}
