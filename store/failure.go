package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Failure is one thing that does not work at the moment, and why.
type Failure struct {
	Kind    string // placement, lookup, decision or target
	Target  string // empty for a lookup
	AssetID string // empty for a target
	Class   string
	Reason  string
}

// Failures lists up to limit failures. It leaves out what the quota defers, and what makes a whole target unusable:
// TargetStatus says that once.
func (s *Store) Failures(ctx context.Context, limit int) ([]Failure, error) {
	rows, err := s.pool.Query(ctx, `SELECT kind, coalesce(target, ''), coalesce(asset_id, ''), error_class, error
		FROM report.failures WHERE error_class <> 'deferred'
		AND NOT (kind = 'placement' AND error_class IN ('auth', 'unavailable', 'throttled')
			AND EXISTS (SELECT FROM damsync.target t WHERE t.name = target AND t.pause_reason <> ''))
		ORDER BY kind, target, asset_id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list failures: %w", err)
	}
	failures, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Failure])
	if err != nil {
		return nil, fmt.Errorf("list failures: %w", err)
	}
	return failures, nil
}
