package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// holdBack returns how long the reading of an asset that an event reports is held back. burst says that the poll should
// run: more than a handful of assets wait, or were reported within state.HoldBack. An asset that is reported again and
// again waits until state.HoldBack has passed since it was read. The query reads few rows, however many there are.
func holdBack(ctx context.Context, tx pgx.Tx, assetID string) (hold time.Duration, burst bool, err error) {
	var again *time.Duration
	err = tx.QueryRow(ctx, `
		WITH latest AS (
			SELECT asset_id FROM (SELECT asset_id, event_name, received_at FROM damsync.inbox ORDER BY id DESC LIMIT 64) l
			WHERE asset_id <> '' AND event_name <> $3 AND received_at > clock_timestamp() - $4::interval
		)
		SELECT (SELECT count(*) FROM (SELECT FROM damsync.lookup WHERE pollable LIMIT $2 + 1) waiting) > $2
			OR (SELECT count(DISTINCT asset_id) FROM latest) > $2,
			CASE WHEN (SELECT count(*) FROM latest WHERE asset_id = $1) > $5
				THEN (SELECT read_at FROM damsync.asset_detail WHERE asset_id = $1) + $4::interval - clock_timestamp() END`,
		assetID, state.Handful, eventAssetRemoved, state.HoldBack, state.Repeats).Scan(&burst, &again)
	if err != nil {
		return 0, false, fmt.Errorf("detect a burst: %w", err)
	}
	if burst {
		hold = state.HoldBack
	}
	if again != nil {
		hold = max(hold, min(*again, state.HoldBack))
	}
	return hold, burst, nil
}

// HeldBack returns what events requested and is not due yet.
func (s *Store) HeldBack(ctx context.Context) (state.Burst, error) {
	var b state.Burst
	err := s.pool.QueryRow(ctx, `
		SELECT count(*), coalesce(clock_timestamp() - min(requested_at), '0'), coalesce(clock_timestamp() - max(last_requested_at), '0')
		FROM damsync.lookup WHERE pollable AND next_attempt_at > clock_timestamp()`).Scan(&b.Lookups, &b.Oldest, &b.Newest)
	if err != nil {
		return b, fmt.Errorf("count what is held back: %w", err)
	}
	return b, nil
}

// HoldLookups keeps lookups that a page requested at askedAt may answer from being read singly for d, and returns
// their number. ReleaseLookups ends the hold; it also ends by itself, should this process crash.
func (s *Store) HoldLookups(ctx context.Context, askedAt time.Time, d time.Duration) (int, error) {
	var n int64
	err := s.inTx(ctx, "hold lookups", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE damsync.lookup SET next_attempt_at = clock_timestamp() + $2::interval
			WHERE pollable AND last_requested_at < $1`, askedAt, d)
		n = tag.RowsAffected()
		return err
	})
	return int(n), err
}

// ReleaseLookups makes lookups that were requested before askedAt and not answered due at once, to be read singly.
func (s *Store) ReleaseLookups(ctx context.Context, askedAt time.Time) error {
	return s.inTx(ctx, "release lookups", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE damsync.lookup SET pollable = false, next_attempt_at = clock_timestamp()
			WHERE pollable AND last_requested_at < $1`, askedAt)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return notify(ctx, tx, state.TopicLookup)
	})
}

// AnswerLookups takes what a page requested at readAt showed of ids, and is in the mirror, as the answer to events
// that were stored before. Where the rules read more of an asset than the page shows, the lookup stays, unless the
// deeper level was read since the last event: an event may report a change that does not move modified_at. An event
// that comes meanwhile is not lost: its lookup was requested later. evaluate is called as for ApplySummaries.
func (s *Store) AnswerLookups(ctx context.Context, readAt time.Time, ids []string, evaluate state.Evaluate) (state.Answered, error) {
	var answered state.Answered
	var requested bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM damsync.lookup WHERE asset_id = ANY($1) AND pollable AND last_requested_at < $2)`, ids, readAt).Scan(&requested)
	if err != nil {
		return answered, fmt.Errorf("find lookups: %w", err)
	}
	if !requested {
		return answered, nil
	}
	err = s.inTx(ctx, "answer lookups", func(tx pgx.Tx) error {
		lookups, err := lockAnswerable(ctx, tx, readAt, ids)
		if err != nil {
			return err
		}
		enough, deeper, err := splitAnswers(ctx, tx, lookups, evaluate)
		if err != nil {
			return err
		}
		answered = state.Answered{Finished: len(enough), Deeper: len(deeper)}
		if err := finishAnswered(ctx, tx, enough); err != nil {
			return err
		}
		return readDeeper(ctx, tx, deeper)
	})
	return answered, err
}

// answerable is a lookup that a page may answer, and which levels were read since it was requested.
type answerable struct {
	id             string
	detail, fields bool
}

func lockAnswerable(ctx context.Context, tx pgx.Tx, readAt time.Time, ids []string) (map[string]answerable, error) {
	rows, err := tx.Query(ctx, `
		SELECT l.asset_id, coalesce(d.read_at > l.last_requested_at, false), coalesce(x.read_at > l.last_requested_at, false)
		FROM damsync.lookup l LEFT JOIN damsync.asset_detail d USING (asset_id) LEFT JOIN damsync.asset_fields x USING (asset_id)
		WHERE l.asset_id = ANY($1) AND l.pollable AND l.last_requested_at < $2 ORDER BY l.asset_id FOR UPDATE OF l`, ids, readAt)
	if err != nil {
		return nil, fmt.Errorf("lock lookups: %w", err)
	}
	lookups := map[string]answerable{}
	var a answerable
	if _, err := pgx.ForEachRow(rows, []any{&a.id, &a.detail, &a.fields}, func() error {
		lookups[a.id] = a
		return nil
	}); err != nil {
		return nil, fmt.Errorf("lock lookups: %w", err)
	}
	return lookups, nil
}

// splitAnswers separates the assets of which the mirror knows enough from those that have to be read deeper.
func splitAnswers(ctx context.Context, tx pgx.Tx, lookups map[string]answerable, evaluate state.Evaluate) (enough, deeper []string, err error) {
	now, known, err := loadSnapshots(ctx, tx, `a.id = ANY($1)`, slices.Collect(maps.Keys(lookups)))
	if err != nil {
		return nil, nil, err
	}
	for _, k := range known {
		if !lookups[k.Asset.ID].detail {
			k.Detail = nil
		}
		if k.Detail == nil || !lookups[k.Asset.ID].fields {
			k.Fields = nil
		}
		if needs := evaluate(now, k).Needs; needs > library.LevelSummary && needs > levelOf(k) {
			deeper = append(deeper, k.Asset.ID)
		} else {
			enough = append(enough, k.Asset.ID)
		}
	}
	return enough, deeper, nil
}

// finishAnswered finishes lookups that tx has locked, and the events that requested them. Every event that is visible
// here raised the request before the lock was taken.
func finishAnswered(ctx context.Context, tx pgx.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM damsync.lookup WHERE asset_id = ANY($1)`, ids); err != nil {
		return fmt.Errorf("finish lookups: %w", err)
	}
	_, err := tx.Exec(ctx, `UPDATE damsync.inbox SET processed_at = clock_timestamp() WHERE asset_id = ANY($1) AND processed_at IS NULL`, ids)
	if err != nil {
		return fmt.Errorf("mark events processed: %w", err)
	}
	return nil
}

// readDeeper makes lookups due once the second of the asset's last change is over, at most state.HoldBack from now. A
// reading within that second would not show a further change in it and would have to be repeated.
func readDeeper(ctx context.Context, tx pgx.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE damsync.lookup l SET pollable = false, next_attempt_at = clock_timestamp()
			+ least(greatest(date_trunc('second', a.modified_at) + $2::interval - clock_timestamp(), '0'), $2::interval)
		FROM damsync.asset a WHERE a.id = l.asset_id AND l.asset_id = ANY($1)`, ids, state.HoldBack)
	if err != nil {
		return fmt.Errorf("request details: %w", err)
	}
	return notify(ctx, tx, state.TopicLookup)
}
