package store

import (
	"context"
	"fmt"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// Waiting counts the pending lookups of class backfill.
func (s *Store) Waiting(ctx context.Context) (state.Waiting, error) {
	var w state.Waiting
	err := s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE observation <> $2), count(*) FILTER (WHERE observation = $2)
		FROM damsync.lookup l WHERE urgency = $1 AND damsync.is_pending(l)`, grant.Backfill.Rank(), state.KindRefresh).Scan(&w.Backfill, &w.Refresh)
	if err != nil {
		return w, fmt.Errorf("count backfill: %w", err)
	}
	return w, nil
}

// Backfill returns the progress of the backfill. It counts the details of the mirror, which reads an index
// from end to end, only while something is left.
func (s *Store) Backfill(ctx context.Context) (state.Backfill, error) {
	waiting, err := s.Waiting(ctx)
	if err != nil || waiting.Backfill == 0 {
		return state.Backfill{}, err
	}
	b := state.Backfill{Left: waiting.Backfill}
	err = s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM damsync.asset_detail),
		(SELECT count(*) FROM damsync.asset_detail WHERE read_at > (SELECT clock_timestamp() - interval '10 minutes'))::float8 / 10`).Scan(&b.Done, &b.PerMinute)
	if err != nil {
		return state.Backfill{}, fmt.Errorf("count details: %w", err)
	}
	return b, nil
}
