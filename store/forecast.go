package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
)

// Spending is what was spent, as the ledger's days have it.
type Spending struct {
	Now   time.Time // the database's
	Since time.Time // when the month began; of a rolling one, its first day
	Until time.Time // when a calendar month ends; a rolling one has no end, there it is Now
	Days  []SpendingDay
}

// SpendingDay is one UTC day on which something was spent.
type SpendingDay struct {
	Day     time.Time
	ByClass map[grant.Class]int64 // classes that spent nothing are absent
}

// Spending lists the days of the month and those of the 30 days before now, oldest first.
func (s *Store) Spending(ctx context.Context, rolling bool) (Spending, error) {
	var sp Spending
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&sp.Now); err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	sp.Now = sp.Now.UTC()
	today := sp.Now.Truncate(24 * time.Hour)
	month := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC)
	sp.Since, sp.Until = month, month.AddDate(0, 1, 0)
	thirty := today.AddDate(0, 0, -29)
	if rolling {
		sp.Since, sp.Until = thirty, sp.Now
	}
	from := thirty
	if sp.Since.Before(from) {
		from = sp.Since
	}
	rows, err := s.pool.Query(ctx, `SELECT day, jsonb_object_agg(class, used) FROM damsync.quota_day WHERE day >= $1 GROUP BY day ORDER BY day`, from)
	if err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	if sp.Days, err = pgx.CollectRows(rows, pgx.RowToStructByPos[SpendingDay]); err != nil {
		return sp, fmt.Errorf("read spending: %w", err)
	}
	return sp, nil
}

// Activity is how much the library was seen to change since its first complete reading, in at
// most the last 30 days.
type Activity struct {
	Days    float64 // observed; 0 before the first complete reading
	Changed int64   // changes of an asset that moved modified_at; several between two readings are one
	Added   int64
	Removed int64
	Folders int64 // the library has now
}

// Activity counts changes on the database's clock.
func (s *Store) Activity(ctx context.Context) (Activity, error) {
	const count = `
		WITH since AS (
			SELECT CASE WHEN count(*) > 0 THEN greatest(min(ended_at), clock_timestamp() - interval '30 days') END AS at
			FROM damsync.run WHERE kind = 'sweep' AND state = 'done'
		)
		SELECT coalesce(extract(epoch FROM clock_timestamp() - since.at) / 86400, 0)::double precision,
			(SELECT count(*) FROM damsync.change WHERE entity = 'asset' AND field = 'modified_at' AND seen_at > since.at),
			(SELECT count(*) FROM damsync.asset WHERE first_seen_at > since.at),
			(SELECT count(*) FROM damsync.asset WHERE removed_at > since.at),
			(SELECT count(*) FROM damsync.folder)
		FROM since`
	var a Activity
	if err := s.pool.QueryRow(ctx, count).Scan(&a.Days, &a.Changed, &a.Added, &a.Removed, &a.Folders); err != nil {
		return a, fmt.Errorf("count changes: %w", err)
	}
	return a, nil
}
