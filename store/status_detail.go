package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// DetailStatus says what the mirror knows of assets beyond their summaries. It is part of what
// `damsync status --json` prints.
type DetailStatus struct {
	Levels   []LevelAge      `json:"levels"`
	Backfill *state.Backfill `json:"backfill"` // null while nothing is left
}

// LevelAge says how old the readings are that targets rely on, in seconds.
type LevelAge struct {
	Level  string  `json:"level"` // detail or fields
	Assets int64   `json:"assets"`
	P50    float64 `json:"p50_seconds"`
	P95    float64 `json:"p95_seconds"`
	Oldest float64 `json:"oldest_seconds"`
}

// Details reads the age of details and the progress of the backfill.
func (s *Store) Details(ctx context.Context) (DetailStatus, error) {
	var d DetailStatus
	rows, err := s.pool.Query(ctx, `SELECT level, assets, extract(epoch FROM p50)::float8, extract(epoch FROM p95)::float8, extract(epoch FROM oldest)::float8
		FROM report.detail_age ORDER BY level`)
	if err != nil {
		return d, fmt.Errorf("read the age of details: %w", err)
	}
	if d.Levels, err = pgx.CollectRows(rows, pgx.RowToStructByPos[LevelAge]); err != nil {
		return d, fmt.Errorf("read the age of details: %w", err)
	}
	b, err := s.Backfill(ctx)
	if b.Left > 0 {
		d.Backfill = &b
	}
	return d, err
}
