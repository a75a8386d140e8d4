package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
)

// QuotaStatus is the state of the month's quota.
type QuotaStatus struct {
	Limit    int64            `json:"limit"`
	Reserved int64            `json:"reserved"` // part of the limit, left to other integrations
	Used     int64            `json:"used"`
	Balance  int64            `json:"balance"`  // left for damsync
	ByClass  map[string]int64 `json:"by_class"` // every class is present
	// Classes has what each class may still spend. Every class is present.
	Classes map[string]ClassStatus `json:"classes"`
	// ResetsAt is when a calendar month ends, or when the oldest requests of a rolling month
	// stop counting. It is null when a rolling month has no requests.
	ResetsAt    *time.Time `json:"resets_at"`
	Deferred    bool       `json:"deferred"`     // nothing is left
	PausedUntil *time.Time `json:"paused_until"` // set while a Retry-After of the CMP pauses all requests
	Pace        PaceStatus `json:"pace"`
}

// ClassStatus is what one class may still spend.
type ClassStatus struct {
	Floor     int64 `json:"floor"`      // part of the month that is left to more urgent classes
	LeftMonth int64 `json:"left_month"` // above the floor
	LeftToday int64 `json:"left_today"`
	// DeferredUntil is when the class may send requests again, Reason why it may not now.
	DeferredUntil *time.Time `json:"deferred_until"`
	Reason        string     `json:"reason"`
}

// PaceStatus is the pace at which requests are sent. Throttling although the pace was kept means
// that another integration spends the organization's requests.
type PaceStatus struct {
	Limit       int        `json:"limit"`        // requests a second, as configured
	Share       float64    `json:"share"`        // part of the limit in use; below 1 for up to an hour after throttling
	Throttled   int64      `json:"throttled"`    // throttled requests, all time
	ThrottledAt *time.Time `json:"throttled_at"` // when throttling last lowered the pace
}

// readQuota counts what take_grant counts.
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
