package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// ClaimLookups leases up to n due lookups, most urgent first, skipping the given classes. Type and Self come from the
// mirror; an event's values are used only for assets that the mirror does not have. The lease lasts at most an hour.
func (s *Store) ClaimLookups(ctx context.Context, n int, lease time.Duration, except ...grant.Class) ([]state.Lookup, error) {
	// The lateral query reads each urgency in the order of its index, however many lookups wait.
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT l.asset_id FROM unnest($4::smallint[]) AS u (urgency) CROSS JOIN LATERAL (
				SELECT asset_id, urgency, priority, next_attempt_at FROM damsync.lookup p
				WHERE urgency = u.urgency AND damsync.is_pending(p) AND next_attempt_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
				ORDER BY priority, next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED) l
			ORDER BY l.urgency, l.priority, l.next_attempt_at LIMIT $1
		), claimed AS (
			UPDATE damsync.lookup l SET lease_owner = $2, lease_until = clock_timestamp() + $3::interval, attempts = attempts + 1, pollable = false
			FROM due WHERE l.asset_id = due.asset_id RETURNING l.*
		)
		SELECT c.asset_id, coalesce(a.type, c.asset_type), coalesce(a.self, c.self), a.id IS NOT NULL,
			c.class, c.observation, coalesce(c.run_id, 0), c.requested, c.gone, c.attempts,
			coalesce((SELECT max(id) FROM damsync.inbox i WHERE i.asset_id = c.asset_id AND i.processed_at IS NULL), 0),
			coalesce((SELECT source_task FROM damsync.inbox i WHERE i.asset_id = c.asset_id AND i.processed_at IS NULL AND source_task <> ''
				ORDER BY id DESC LIMIT 1), a.source_task, '')
		FROM claimed c LEFT JOIN damsync.asset a ON a.id = c.asset_id ORDER BY c.urgency, c.priority, c.next_attempt_at`,
		n, s.id, min(lease, maxLease), urgencies(except))
	if err != nil {
		return nil, fmt.Errorf("claim lookups: %w", err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (state.Lookup, error) {
		var l state.Lookup
		err := row.Scan(&l.AssetID, &l.Type, &l.Self, &l.Mirrored, &l.Class, &l.Observation.Kind, &l.Observation.RunID, &l.Requested, &l.Gone, &l.Attempts, &l.InboxID, &l.SourceTask)
		l.Observation.Class = l.Class
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim lookups: %w", err)
	}
	return claims, nil
}

// ExtendLookup renews the lease of a reading that takes long, for at most an hour. ErrLeaseLost: another worker has it.
func (s *Store) ExtendLookup(ctx context.Context, l state.Lookup, lease time.Duration) error {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.lookup SET lease_until = clock_timestamp() + $3::interval
		WHERE asset_id = $1 AND lease_owner = $2`, l.AssetID, s.id, min(lease, maxLease))
	return oneRow(tag.RowsAffected(), err, "extend lease of "+l.AssetID)
}

// urgencies returns the ranks of all classes but some, and the rank of classes that this version does not know.
func urgencies(except []grant.Class) []int16 {
	var all []int16
	for i, class := range append(grant.Classes(), "") {
		if !slices.Contains(except, class) {
			all = append(all, int16(i))
		}
	}
	return all
}

// classOf returns the class with this rank; of an unknown rank, sweep.
func classOf(urgency int) grant.Class {
	if classes := grant.Classes(); urgency < len(classes) {
		return classes[urgency]
	}
	return grant.Sweep
}

// NextLookup returns how long it is until the next pending lookup becomes due, skipping the given classes, and
// whether there is any.
func (s *Store) NextLookup(ctx context.Context, except ...grant.Class) (time.Duration, bool, error) {
	return s.nextDue(ctx, `SELECT least(
		(SELECT min(l.next_attempt_at) FROM unnest($1::smallint[]) AS u (urgency) CROSS JOIN LATERAL (
			SELECT next_attempt_at FROM damsync.lookup p WHERE urgency = u.urgency AND damsync.is_pending(p) AND lease_until IS NULL
			ORDER BY next_attempt_at LIMIT 1) l),
		(SELECT min(greatest(next_attempt_at, lease_until)) FROM damsync.lookup p
			WHERE lease_until IS NOT NULL AND damsync.is_pending(p) AND urgency = ANY($1))) - clock_timestamp()`, urgencies(except))
}

func (s *Store) nextDue(ctx context.Context, sql string, args ...any) (time.Duration, bool, error) {
	var wait *time.Duration
	if err := s.pool.QueryRow(ctx, sql, args...).Scan(&wait); err != nil {
		return 0, false, fmt.Errorf("find the next due work: %w", err)
	}
	if wait == nil {
		return 0, false, nil
	}
	return max(0, *wait), true, nil
}

// finishLookup finishes what was requested when the lookup was claimed. Later requests keep it pending.
func (s *Store) finishLookup(ctx context.Context, tx pgx.Tx, l state.Lookup) error {
	tag, err := tx.Exec(ctx, `DELETE FROM damsync.lookup WHERE asset_id = $1 AND requested = $2`, l.AssetID, l.Requested)
	if err != nil {
		return fmt.Errorf("finish lookup: %w", err)
	}
	events := l.InboxID
	if tag.RowsAffected() > 0 {
		// Storing an event raises requested, so no event that is visible here came after the claim. The claim may have
		// counted an event that it did not see.
		events = math.MaxInt64
	}
	_, err = tx.Exec(ctx, `UPDATE damsync.inbox SET processed_at = clock_timestamp()
		WHERE asset_id = $1 AND id <= $2 AND processed_at IS NULL`, l.AssetID, events)
	if err != nil {
		return fmt.Errorf("mark events processed: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE damsync.lookup SET done = greatest(done, $2), lease_owner = NULL, lease_until = NULL, attempts = 0,
		requested_at = last_requested_at,
		-- A second event is read at once, a series of them together.
		next_attempt_at = clock_timestamp() + CASE WHEN class = $4 AND NOT gone
			AND (SELECT count(*) FROM damsync.inbox i WHERE i.asset_id = $1 AND i.processed_at IS NULL) > 1 THEN $5::interval ELSE '0' END,
		error_class = '', error = '' WHERE asset_id = $1 AND lease_owner = $3`, l.AssetID, l.Requested, s.id, string(grant.Webhook), state.HoldBack)
	if err != nil {
		return fmt.Errorf("finish lookup: %w", err)
	}
	if l.Gone {
		return notify(ctx, tx, state.TopicGuard) // a wave may have waited for this suspect
	}
	return nil
}

// FailLookup makes a lookup due again after f.After, at most state.LongestWait, or at once when it was requested
// again meanwhile. Its class and reason are visible until then. counts says whether the failure is the asset's own and
// counts as an attempt.
func (s *Store) FailLookup(ctx context.Context, l state.Lookup, f state.Failure, counts bool) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.lookup SET lease_owner = NULL, lease_until = NULL, error_class = $3, error = $4,
		next_attempt_at = CASE WHEN requested > $6 THEN clock_timestamp() ELSE clock_timestamp() + $5::interval END,
		attempts = CASE WHEN $7 THEN attempts ELSE greatest(attempts - 1, 0) END
		WHERE asset_id = $1 AND lease_owner = $2`, l.AssetID, s.id, f.Class, cleanText(f.Reason), min(f.After, state.LongestWait), l.Requested, counts)
	if err != nil {
		return fmt.Errorf("put lookup of %s back: %w", l.AssetID, err)
	}
	return nil
}

// RetryLookups makes lookups that failed or wait due at once, as if never tried.
func (s *Store) RetryLookups(ctx context.Context) error {
	return s.inTx(ctx, "retry lookups", func(tx pgx.Tx) error {
		_, err := retryLookups(ctx, tx)
		return err
	})
}

func retryLookups(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE damsync.lookup l SET next_attempt_at = clock_timestamp(), attempts = 0, error_class = '', error = ''
		WHERE damsync.is_pending(l) AND (error_class <> '' OR next_attempt_at > clock_timestamp())`)
	if err != nil {
		return 0, err
	}
	return tag.RowsAffected(), notify(ctx, tx, state.TopicLookup)
}
