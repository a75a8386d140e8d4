package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/walk"
)

// pageSize is the most the CMP gives a request.
const pageSize = walk.PageSize

// applySpan writes what a span read and names the assets that the mirror has in
// it and the span has not.
func (e *Engine) applySpan(ctx context.Context, obs state.Observation, readAt time.Time, s walk.Span) (state.Applied, []string, error) {
	rows := make([]library.Asset, len(s.Items))
	for i, it := range s.Items {
		rows[i] = it.Asset
		e.urls.put(it.ID, it.URL)
	}
	var applied state.Applied
	err := e.withRules(func() (err error) {
		applied, err = e.store.ApplySummaries(ctx, obs, readAt, rows, e.decide)
		return err
	})
	if err != nil {
		return applied, nil, err
	}
	e.logBadRows(obs, s.Bad, applied.Failed)
	if !s.Complete {
		return applied, nil, nil
	}
	missing, err := e.store.Missing(ctx, s.Above, s.UpTo, s.Inclusive, s.Seen, readAt)
	return applied, missing, err
}

func (e *Engine) logBadRows(obs state.Observation, bad []cmp.RowError, failed []state.RowError) {
	for _, row := range bad {
		e.log.Warn().Str("asset_id", row.ID).Int64("run_id", obs.RunID).Str("reason", row.Reason).Msg("row of the library cannot be read; it is left as it was")
	}
	for _, row := range failed {
		e.log.Warn().Str("asset_id", row.AssetID).Int64("run_id", obs.RunID).Err(row.Err).Msg("asset cannot be stored; it is left as it was")
	}
}

// settled tells whether a reading shows every change up to the second of
// modified: a further change within that second would not move modified_at.
func settled(served, readAt, modified time.Time) bool {
	if served.IsZero() {
		served = readAt
	}
	return !served.Before(settledAt(modified))
}

// settleTime is how long after its start a second is surely over: the clock that wrote
// a time may be a little behind.
const settleTime = 2 * time.Second

// settledAt is when the second of modified is surely over: times have whole seconds.
func settledAt(modified time.Time) time.Time {
	return modified.Truncate(time.Second).Add(settleTime)
}

// clockedReading asks the database for the time before the library is read.
func (e *Engine) clockedReading(ctx context.Context) (time.Time, error) {
	now, err := e.store.Now(ctx)
	if err != nil {
		return now, fmt.Errorf("time the reading: %w", err)
	}
	return now, nil
}

func refs(ids []string) []state.Ref {
	out := make([]state.Ref, len(ids))
	for i, id := range slices.Sorted(slices.Values(ids)) {
		out[i] = state.Ref{ID: id}
	}
	return out
}
