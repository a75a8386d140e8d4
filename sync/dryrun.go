package sync

import (
	"context"
	"errors"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/walk"
)

// DryRun reads the library as Resync does and calls see for everything that a resync would do. It writes nothing, neither
// to the mirror nor to a target, and returns how many requests the reading cost. With an asset id it reads only that
// asset.
func (e *Engine) DryRun(ctx context.Context, assetID string, see func(Difference) error) (int, error) {
	ctx = grant.WithClass(ctx, grant.Manual)
	if err := e.planner.UseKnown(ctx); err != nil {
		return 0, err
	}
	p := e.preview(see)
	if assetID != "" {
		return p.readAsset(ctx, assetID)
	}
	seen := map[string]bool{}
	requests, err := p.readLibrary(ctx, seen)
	if err != nil {
		return requests, err
	}
	// What the reading does not change may still wait to be pushed.
	return requests, p.store.Preview(ctx, p.rules.Evaluate, func(k state.Snapshot, d state.Decisions) error {
		if seen[k.Asset.ID] {
			return nil
		}
		return p.show(k, d)
	})
}

// readLibrary walks the library and adds the assets that it has shown to seen.
func (p *preview) readLibrary(ctx context.Context, seen map[string]bool) (requests int, err error) {
	for walker, cursor := (walk.Walker{Library: p.source}), (walk.Cursor{}); ; {
		readAt, err := p.store.Now(ctx)
		if err != nil {
			return requests, err
		}
		s, next, err := walker.Step(ctx, cursor)
		requests += s.Requests
		if err == nil {
			err = p.readSpan(ctx, readAt, s, seen)
		}
		if err != nil || s.End {
			return requests, err
		}
		cursor = next
	}
}

func (p *preview) readSpan(ctx context.Context, readAt time.Time, s walk.Span, seen map[string]bool) error {
	rows := make([]library.Asset, len(s.Items))
	for i, it := range s.Items {
		rows[i] = it.Asset
	}
	changed, err := p.store.Differing(ctx, rows)
	if err != nil {
		return err
	}
	now, snapshots, err := p.overlay(ctx, changed)
	if err != nil {
		return err
	}
	for _, k := range snapshots {
		seen[k.Asset.ID] = true
		if err := p.show(k, p.rules.Evaluate(now, k)); err != nil {
			return err
		}
	}
	if !s.Complete {
		return nil
	}
	missing, err := p.store.Missing(ctx, state.Span{Above: s.Above, UpTo: s.UpTo, Inclusive: s.Inclusive}, s.Seen, readAt)
	if err != nil {
		return err
	}
	for _, id := range missing {
		if err := p.see(Difference{AssetID: id, Op: "check", Reason: "not found where the mirror has it; one request would show whether it is gone", Requests: 1}); err != nil {
			return err
		}
	}
	return nil
}

// overlay returns what the mirror knows with the rows just read in place of its own. A detail of an older state counts as
// unknown.
func (p *preview) overlay(ctx context.Context, rows []library.Asset) (time.Time, []state.Snapshot, error) {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	now, stored, err := p.store.Snapshots(ctx, ids)
	if err != nil {
		return now, nil, err
	}
	byID := make(map[string]state.Snapshot, len(stored))
	for _, k := range stored {
		byID[k.Asset.ID] = k
	}
	out := make([]state.Snapshot, len(rows))
	for i, a := range rows {
		k := byID[a.ID]
		if !k.Asset.ModifiedAt.Equal(a.ModifiedAt) {
			k.Detail, k.Fields = nil, nil
		}
		k.Asset, k.Folder, k.Gone = a, a.FileLocation, false
		out[i] = k
	}
	return now, out, nil
}

func (p *preview) readAsset(ctx context.Context, id string) (int, error) {
	now, stored, err := p.store.Snapshots(ctx, []string{id})
	if err != nil {
		return 0, err
	}
	var k state.Snapshot
	if len(stored) > 0 {
		k = stored[0]
	}
	requests := 1
	d, err := p.source.Asset(ctx, cmp.Ref{ID: id, Type: k.Asset.Type, Self: k.Asset.Self})
	switch {
	case errors.Is(err, cmp.ErrNotFound):
		k.Gone = true
	case err != nil:
		return requests, err
	default:
		k.Asset, k.Detail, k.Fields, k.Folder, k.Gone = d.Asset, &d.Detail, nil, d.Asset.FileLocation, false
	}
	if k.Asset.ID == "" {
		return requests, unknownAsset(id)
	}
	return requests, p.show(k, p.rules.Evaluate(now, k))
}
