package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"damsync/internal/grant"
)

// Allowance returns what class may still spend, and how much of it the rest of the month does
// not need. It reserves nothing: other processes keep spending, and only Take counts. The
// clock is the database's; days are UTC.
func (l *Ledger) Allowance(ctx context.Context, class grant.Class) (grant.Allowance, error) {
	return allowance(ctx, l.store.pool, l.cfg, class)
}

// allowanceSQL reads damsync.budget, and what the classes in $7 need for the rest of the month
// when they continue as in the last seven days. The average starts at the first of these days
// with any spending and leaves out today.
const allowanceSQL = `
	WITH clock AS (SELECT clock_timestamp() AS now),
	past AS (
		SELECT sum(used) FILTER (WHERE class = ANY ($7)) AS used, (now AT TIME ZONE 'UTC')::date - min(day) AS days
		FROM clock LEFT JOIN damsync.quota_day ON day >= (now AT TIME ZONE 'UTC')::date - 7 AND day < (now AT TIME ZONE 'UTC')::date
		GROUP BY now
	)
	SELECT now, b.month_left, b.today_left, b.days_left, b.deferred_until, coalesce(b.reason, ''),
		coalesce(ceil(past.used::numeric / past.days * b.days_left)::bigint, 0),
		(SELECT coalesce(sum(used), 0) FROM damsync.quota_day WHERE day = b.today AND class = ANY ($4))
	FROM clock, past, damsync.budget(now, $1, $2, $3, $4, $5, $6) b`

func allowance(ctx context.Context, q rowQuerier, cfg LedgerConfig, class grant.Class) (grant.Allowance, error) {
	var (
		now, until  = time.Time{}, (*time.Time)(nil)
		days        int64
		need, spent int64
		reason      string
	)
	a := grant.Allowance{Class: class, Floor: cfg.Budget[class].Floor}
	args := append(cfg.budgetArgs(class), moreUrgent(class))
	err := q.QueryRow(ctx, allowanceSQL, args...).Scan(&now, &a.Month, &a.Today, &days, &until, &reason, &need, &spent)
	if err != nil {
		return a, fmt.Errorf("read allowance of %s: %w", class, err)
	}
	midnight := now.UTC().Truncate(24 * time.Hour)
	a.Until = midnight.AddDate(0, 0, int(days))
	if cfg.Budget[class].Days > 0 {
		a.Until = midnight.AddDate(0, 0, 1)
	}
	if until != nil {
		a.Until = until.UTC()
		a.Deferred = &grant.Deferred{Class: class, Until: a.Until, Reason: reason}
	}
	a.Spare = spare(a, need, spent, days)
	return a, nil
}

// spare returns what today may spend of the requests that are left after need, spread evenly
// over the days left. spent is what the class's daily limit has already seen today.
func spare(a grant.Allowance, need, spent, days int64) int64 {
	even := (max(a.Month+spent-need, 0) + days - 1) / max(days, 1)
	return min(max(even-spent, 0), a.Today)
}

// moreUrgent returns the classes that are more urgent than class.
func moreUrgent(class grant.Class) []string {
	names := classNames(grant.Classes())
	return names[:max(slices.Index(names, string(class)), 0)]
}
