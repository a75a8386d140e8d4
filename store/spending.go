package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
)

// Spending is what the ledger counted this month. Times are UTC, by the database's clock.
type Spending struct {
	Now   time.Time
	Since time.Time // when the month began; of a rolling month, 29 days before today
	Until time.Time // when a calendar month ends; zero when the month is rolling
	Days  []SpendingDay
}

// SpendingDay is one UTC day with at least one request.
type SpendingDay struct {
	Day     time.Time
	ByClass map[grant.Class]int64 // classes that spent nothing are absent
}

// Spending lists the days of the month, oldest first.
func (s *Store) Spending(ctx context.Context, rolling bool) (Spending, error) {
	var sp Spending
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&sp.Now); err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	sp.Now = sp.Now.UTC()
	today := sp.Now.Truncate(24 * time.Hour)
	if rolling {
		sp.Since = today.AddDate(0, 0, -29)
	} else {
		sp.Since = time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC)
		sp.Until = sp.Since.AddDate(0, 1, 0)
	}
	rows, err := s.pool.Query(ctx, `SELECT day, jsonb_object_agg(class, used) FROM damsync.quota_day WHERE day >= $1 GROUP BY day ORDER BY day`, sp.Since)
	if err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	if sp.Days, err = pgx.CollectRows(rows, pgx.RowToStructByPos[SpendingDay]); err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	return sp, nil
}
