package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
)

// QuotaStatus is what the month's requests went to.
type QuotaStatus struct {
	Limit    int64            `json:"limit"`
	Reserved int64            `json:"reserved"` // of the limit, for other integrations
	Used     int64            `json:"used"`
	Balance  int64            `json:"balance"`  // what is left, without the reserved
	ByClass  map[string]int64 `json:"by_class"` // every class is there
	// Classes says what each class may still spend; every class is there.
	Classes map[string]ClassStatus `json:"classes"`
	// ResetsAt is when the calendar month ends or, of a rolling month, when its
	// oldest requests stop counting; null when a rolling month has none.
	ResetsAt    *time.Time `json:"resets_at"`
	Deferred    bool       `json:"deferred"`     // nothing is left
	PausedUntil *time.Time `json:"paused_until"` // set while the CMP asked all processes to wait
	Pace        PaceStatus `json:"pace"`
}

// ClassStatus is what one class may still spend.
type ClassStatus struct {
	Floor     int64 `json:"floor"`      // of the month, left to more urgent classes
	LeftMonth int64 `json:"left_month"` // above the floor
	LeftToday int64 `json:"left_today"`
	// DeferredUntil is when the class may spend again, Reason why it may not now.
	DeferredUntil *time.Time `json:"deferred_until"`
	Reason        string     `json:"reason"`
}

// PaceStatus is how fast requests are sent. The API refuses requests within the pace when another application spends
// the organization's requests.
type PaceStatus struct {
	Limit       int        `json:"limit"`        // requests a second, as configured
	Share       float64    `json:"share"`        // the part of it that is in use; below 1 within an hour of a refusal
	Throttled   int64      `json:"throttled"`    // refused requests, ever
	ThrottledAt *time.Time `json:"throttled_at"` // when one last lowered the pace
}

// readQuota counts as damsync.take_grant does.
func (st *Status) readQuota(ctx context.Context, tx pgx.Tx, cfg LedgerConfig) error {
	q := QuotaStatus{Limit: cfg.PerMonth, Reserved: cfg.Reserved, ByClass: map[string]int64{}, Classes: map[string]ClassStatus{}}
	for _, class := range grant.Classes() {
		a, err := allowance(ctx, tx, cfg, class)
		if err != nil {
			return err
		}
		c := ClassStatus{Floor: a.Floor, LeftMonth: a.Month, LeftToday: a.Today}
		if a.Deferred != nil {
			c.DeferredUntil, c.Reason = &a.Deferred.Until, a.Deferred.Reason
		}
		q.ByClass[string(class)], q.Classes[string(class)] = 0, c
	}
	if err := q.readSpent(ctx, tx, cfg.Rolling); err != nil {
		return err
	}
	q.Balance = max(cfg.limit()-q.Used, 0)
	q.Deferred = q.Balance == 0
	q.Pace.Limit = cfg.PerSecond
	st.Quota = q
	return nil
}

func (q *QuotaStatus) readSpent(ctx context.Context, tx pgx.Tx, rolling bool) error {
	const month = `
		WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day),
		month AS (SELECT CASE WHEN $1 THEN day - 29 ELSE date_trunc('month', day)::date END AS since FROM today)
		SELECT coalesce(jsonb_object_agg(class, used) FILTER (WHERE class IS NOT NULL), '{}'),
			(CASE WHEN $1 THEN min(first) + interval '30 days' ELSE min(since) + interval '1 month' END) AT TIME ZONE 'UTC'
		FROM month LEFT JOIN (
			SELECT class, sum(used) AS used, min(day) AS first FROM damsync.quota_day, month WHERE day >= since GROUP BY class
		) spent ON true`
	var spent map[string]int64
	if err := tx.QueryRow(ctx, month, rolling).Scan(&spent, &q.ResetsAt); err != nil {
		return fmt.Errorf("count requests: %w", err)
	}
	for class, used := range spent {
		q.ByClass[class] = used
		q.Used += used
	}
	const pace = `
		SELECT CASE WHEN paused_until > now() AND paused_until <= now() + interval '1 hour' THEN paused_until END,
			damsync.pace_share(share, throttled_at, now()), throttled, throttled_at
		FROM damsync.pace`
	if err := tx.QueryRow(ctx, pace).Scan(&q.PausedUntil, &q.Pace.Share, &q.Pace.Throttled, &q.Pace.ThrottledAt); err != nil {
		return fmt.Errorf("read pace: %w", err)
	}
	q.ResetsAt, q.PausedUntil, q.Pace.ThrottledAt = inUTC(q.ResetsAt), inUTC(q.PausedUntil), inUTC(q.Pace.ThrottledAt)
	return nil
}
