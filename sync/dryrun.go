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

// DryRun reads the library as Resync does and says what a resync would do. It
// writes nothing, neither to the mirror nor to a target, and returns how many
// requests the reading cost. With an asset id it reads that asset alone.
func (e *Engine) DryRun(ctx context.Context, assetID string, see func(Difference) error) (int, error) {
	ctx = grant.WithClass(ctx, grant.Manual)
	if err := e.planner.UseKnown(ctx); err != nil {
		return 0, err
	}
	if assetID != "" {
		return e.dryRunAsset(ctx, assetID, see)
	}
	requests, seen := 0, map[string]bool{}
	walker, cursor := walk.Walker{Library: e.source}, walk.Cursor{}
	for {
		readAt, err := e.stores.Preview.Now(ctx)
		if err != nil {
			return requests, err
		}
		s, next, err := walker.Step(ctx, cursor)
		requests += s.Requests
		if err != nil {
			return requests, err
		}
		if err := e.dryRunSpan(ctx, readAt, s, seen, see); err != nil {
			return requests, err
		}
		if s.End {
			break
		}
		cursor = next
	}
	// What the reading does not change may still wait for its turn.
	return requests, e.stores.Preview.Preview(ctx, e.rules.Evaluate, func(k state.Snapshot, v state.Decisions) error {
		if seen[k.Asset.ID] {
			return nil
		}
		return each(e.differences(k, v), see)
	})
}

func (e *Engine) dryRunSpan(ctx context.Context, readAt time.Time, s walk.Span, seen map[string]bool, see func(Difference) error) error {
	rows := make([]library.Asset, len(s.Items))
	for i, it := range s.Items {
		rows[i] = it.Asset
	}
	changed, err := e.stores.Preview.Differing(ctx, rows)
	if err != nil {
		return err
	}
	now, known, err := e.overlay(ctx, changed)
	if err != nil {
		return err
	}
	for _, k := range known {
		seen[k.Asset.ID] = true
		if err := each(e.differences(k, e.rules.Evaluate(now, k)), see); err != nil {
			return err
		}
	}
	if !s.Complete {
		return nil
	}
	missing, err := e.stores.Preview.Missing(ctx, s.Above, s.UpTo, s.Inclusive, s.Seen, readAt)
	if err != nil {
		return err
	}
	for _, id := range missing {
		if err := see(Difference{AssetID: id, Op: "check", Reason: "not found where the mirror has it; one request would tell whether it is gone", Requests: 1}); err != nil {
			return err
		}
	}
	return nil
}

// overlay puts rows just read over what the mirror knows; a detail of an older
// state counts as unknown.
func (e *Engine) overlay(ctx context.Context, rows []library.Asset) (time.Time, []state.Snapshot, error) {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	now, stored, err := e.stores.Preview.Snapshots(ctx, ids)
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

func (e *Engine) dryRunAsset(ctx context.Context, id string, see func(Difference) error) (int, error) {
	now, stored, err := e.stores.Preview.Snapshots(ctx, []string{id})
	if err != nil {
		return 0, err
	}
	var k state.Snapshot
	if len(stored) > 0 {
		k = stored[0]
	}
	requests := 1
	d, err := e.source.Asset(ctx, cmp.Ref{ID: id, Type: k.Asset.Type, Self: k.Asset.Self})
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
	return requests, each(e.differences(k, e.rules.Evaluate(now, k)), see)
}
