package observe

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/rules"
	"damsync/sync/source"
	"damsync/sync/walk"
)

// MirrorStore writes what was observed and plans it in the same transaction.
type MirrorStore interface {
	Now(ctx context.Context) (time.Time, error)
	CountAssets(ctx context.Context) (int, error)
	ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, evaluate state.Evaluate) (state.Applied, error)
	AnswerLookups(ctx context.Context, readAt time.Time, ids []string, evaluate state.Evaluate) (state.Answered, error)
	Missing(ctx context.Context, in state.Span, seen []string, readAt time.Time) ([]string, error)
	RequestLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error
	RequestWithinGrace(ctx context.Context, obs state.Observation, age time.Duration) (int, error)
}

// Mirror writes what the library shows into the mirror. Its methods are safe for concurrent use.
type Mirror struct {
	Store      MirrorStore
	Source     *source.Source
	Rules      *rules.Set
	References *rules.References
	Log        zerolog.Logger
}

// readTime returns the database's time before the library is read.
func (m *Mirror) readTime(ctx context.Context) (time.Time, error) {
	now, err := m.Store.Now(ctx)
	if err != nil {
		return now, fmt.Errorf("read the database's time: %w", err)
	}
	return now, nil
}

// applyItems writes rows of the library and keeps their download URLs.
func (m *Mirror) applyItems(ctx context.Context, obs state.Observation, readAt time.Time, items []cmp.Item, bad []cmp.RowError) (applied state.Applied, err error) {
	rows := make([]library.Asset, len(items))
	for i, it := range items {
		rows[i] = it.Asset
		m.Source.URLs.Put(it.ID, it.URL)
	}
	err = m.Rules.Write(func() (err error) {
		applied, err = m.Store.ApplySummaries(ctx, obs, readAt, rows, m.Rules.Evaluate)
		return err
	})
	if err != nil {
		return applied, err
	}
	m.logBadRows(obs, bad, applied.Failed)
	if applied.FolderUnknown {
		m.References.Request(ctx)
	}
	return applied, nil
}

// applySpan writes what a span read and returns the assets that the mirror has in the span and the library does not
// list.
func (m *Mirror) applySpan(ctx context.Context, obs state.Observation, readAt time.Time, s walk.Span) (state.Applied, []string, error) {
	applied, err := m.applyItems(ctx, obs, readAt, s.Items, s.Bad)
	if err != nil || !s.Complete {
		return applied, nil, err
	}
	missing, err := m.Store.Missing(ctx, state.Span{Above: s.Above, UpTo: s.UpTo, Inclusive: s.Inclusive}, s.Seen, readAt)
	return applied, missing, err
}

func (m *Mirror) logBadRows(obs state.Observation, bad []cmp.RowError, failed []state.RowError) {
	for _, row := range bad {
		m.Log.Warn().Str("asset_id", row.ID).Int64("run_id", obs.RunID).Str("reason", row.Reason).Msg("skipping an unreadable library row")
	}
	for _, row := range failed {
		m.Log.Warn().Str("asset_id", row.AssetID).Int64("run_id", obs.RunID).Err(row.Err).Msg("skipping an asset that the database rejects")
	}
}

// answer finishes the lookups that events requested and that the items of a page answer.
func (m *Mirror) answer(ctx context.Context, readAt time.Time, items []cmp.Item, applied state.Applied) (answered state.Answered, err error) {
	shown := make([]string, 0, len(items))
	for _, it := range items {
		if !failed(applied, it) {
			shown = append(shown, it.ID)
		}
	}
	err = m.Rules.Write(func() (err error) {
		answered, err = m.Store.AnswerLookups(ctx, readAt, shown, m.Rules.Evaluate)
		return err
	})
	return answered, err
}

// failed reports whether the database rejected the row of an asset.
func failed(applied state.Applied, it cmp.Item) bool {
	return slices.ContainsFunc(applied.Failed, func(row state.RowError) bool { return row.AssetID == it.ID })
}

// refuseEmpty fails when the library lists nothing while the mirror has assets: nothing may be inferred from that.
func (m *Mirror) refuseEmpty(ctx context.Context, s walk.Span) error {
	if len(s.Items) > 0 {
		return nil
	}
	n, err := m.Store.CountAssets(ctx)
	if err != nil || n == 0 {
		return err
	}
	return fmt.Errorf("%w (%d assets)", state.ErrEmptyListing, n)
}

func refs(ids []string) []state.Ref {
	out := make([]state.Ref, len(ids))
	for i, id := range slices.Sorted(slices.Values(ids)) {
		out[i] = state.Ref{ID: id}
	}
	return out
}
