package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// timeRange is a range of created_at, from a time up to and excluding another; zero is open. Its whole hours are summed
// from damsync.asset_hour, and only the rows at its two ends are counted one by one.
type timeRange struct {
	firstHour, endHour *int64 // hours since 1970; nil is open
	head, tail         [2]time.Time
}

func timeRangeOf(from, to time.Time) timeRange {
	var r timeRange
	if !from.IsZero() {
		h := hourOf(from.Add(time.Hour - time.Nanosecond))
		r.firstHour = &h
		r.head = [2]time.Time{from, hourStart(h)}
	}
	if !to.IsZero() {
		h := hourOf(to)
		r.endHour = &h
		r.tail = [2]time.Time{hourStart(h), to}
	}
	if r.firstHour != nil && r.endHour != nil && *r.firstHour > *r.endHour { // within one hour
		r.endHour = r.firstHour
		r.head, r.tail = [2]time.Time{from, to}, [2]time.Time{}
	}
	return r
}

func hourOf(t time.Time) int64 {
	seconds := t.Unix()
	h := seconds / 3600
	if seconds%3600 < 0 {
		h--
	}
	return h
}

func hourStart(h int64) time.Time { return time.Unix(h*3600, 0).UTC() }

const (
	hoursSQL = `SELECT coalesce(sum(count), 0)::bigint FROM damsync.asset_hour
		WHERE hour >= coalesce($1::bigint, hour) AND hour < coalesce($2::bigint, hour + 1)`
	countSQL = `SELECT count(*) FROM damsync.asset WHERE removed_at IS NULL AND created_at >= $1 AND created_at < $2`
	nthSQL   = `SELECT created_at FROM damsync.asset WHERE removed_at IS NULL AND created_at >= $1 AND created_at < $2
		ORDER BY created_at OFFSET $3 LIMIT 1`
	nthHourSQL = `SELECT hour, before FROM (
			SELECT hour, count, (sum(count) OVER (ORDER BY hour) - count)::bigint AS before FROM damsync.asset_hour
			WHERE hour >= coalesce($1::bigint, hour) AND hour < coalesce($2::bigint, hour + 1)) AS h
		WHERE before + count > $3 ORDER BY hour LIMIT 1`
)

// CountWindow counts the living assets created from one time up to and excluding another; a zero time is open. It takes
// a few milliseconds whatever the window holds.
func (s *Store) CountWindow(ctx context.Context, from, to time.Time) (int, error) {
	total := 0
	err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
		w := timeRangeOf(from, to)
		head, hours, tail, err := w.counts(ctx, tx)
		total = head + hours + tail
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count assets of a window: %w", err)
	}
	return total, nil
}

// counts counts the ends and the whole hours between.
func (w timeRange) counts(ctx context.Context, tx pgx.Tx) (head, hours, tail int, err error) {
	if head, err = countRange(ctx, tx, w.head); err != nil {
		return 0, 0, 0, err
	}
	if err = tx.QueryRow(ctx, hoursSQL, w.firstHour, w.endHour).Scan(&hours); err != nil {
		return 0, 0, 0, err
	}
	tail, err = countRange(ctx, tx, w.tail)
	return head, hours, tail, err
}

func countRange(ctx context.Context, tx pgx.Tx, r [2]time.Time) (n int, err error) {
	if r[0].Before(r[1]) {
		err = tx.QueryRow(ctx, countSQL, r[0], r[1]).Scan(&n)
	}
	return n, err
}

// errTooFew says that the window has fewer assets than the requested number.
var errTooFew = errors.New("the window has too few assets")

// NthCreated returns the created_at of the living asset of a window, bounded as in CountWindow, that n others precede by
// created_at.
func (s *Store) NthCreated(ctx context.Context, from, to time.Time, n int) (time.Time, error) {
	var at time.Time
	err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
		w := timeRangeOf(from, to)
		head, hours, _, err := w.counts(ctx, tx)
		if err != nil {
			return err
		}
		r, n := w.head, n
		switch {
		case n < head:
		case n < head+hours:
			var hour, before int64
			if err := tx.QueryRow(ctx, nthHourSQL, w.firstHour, w.endHour, n-head).Scan(&hour, &before); err != nil {
				return err
			}
			r, n = [2]time.Time{hourStart(hour), hourStart(hour + 1)}, n-head-int(before)
		default:
			r, n = w.tail, n-head-hours
		}
		err = tx.QueryRow(ctx, nthSQL, r[0], r[1], n).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			err = errTooFew
		}
		return err
	})
	if err != nil {
		return at, fmt.Errorf("find asset %d of a window: %w", n, err)
	}
	return at, nil
}

// WindowRows lists the living assets of a window, bounded as in CountWindow, in no particular order.
func (s *Store) WindowRows(ctx context.Context, from, to time.Time) ([]state.WindowRow, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, created_at, modified_at FROM damsync.asset
		WHERE removed_at IS NULL AND created_at >= coalesce($1::timestamptz, '-infinity') AND created_at < coalesce($2::timestamptz, 'infinity')`,
		orNull(from), orNull(to))
	if err != nil {
		return nil, fmt.Errorf("list assets of a window: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.WindowRow])
	if err != nil {
		return nil, fmt.Errorf("list assets of a window: %w", err)
	}
	return list, nil
}
