package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

const requestLookupSQL = `
INSERT INTO damsync.lookup AS l (asset_id, asset_type, self, class, urgency, observation, run_id, gone, pollable, priority,
	next_attempt_at, requested_at, last_requested_at)
SELECT id, type, self, $4, $5, $6, nullif($7::bigint, 0), $8, $10, priority,
	clock_timestamp() + $11::interval, clock_timestamp(), clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $12::bigint[]) AS u (id, type, self, priority)
ON CONFLICT (asset_id) DO UPDATE SET
	requested = l.requested + 1,
	asset_type = CASE WHEN excluded.asset_type = '' THEN l.asset_type ELSE excluded.asset_type END,
	self = CASE WHEN excluded.self = '' THEN l.self ELSE excluded.self END,
	class = CASE WHEN NOT damsync.is_pending(l) OR excluded.urgency < l.urgency THEN excluded.class ELSE l.class END,
	urgency = CASE WHEN NOT damsync.is_pending(l) THEN excluded.urgency ELSE least(l.urgency, excluded.urgency) END,
	priority = CASE WHEN NOT damsync.is_pending(l) OR excluded.urgency < l.urgency THEN excluded.priority ELSE least(l.priority, excluded.priority) END,
	observation = CASE WHEN damsync.is_pending(l) THEN l.observation ELSE excluded.observation END,
	run_id = CASE WHEN damsync.is_pending(l) THEN l.run_id ELSE excluded.run_id END,
	requested_at = CASE WHEN damsync.is_pending(l) THEN l.requested_at ELSE excluded.requested_at END,
	last_requested_at = excluded.last_requested_at,
	next_attempt_at = CASE WHEN damsync.is_pending(l) AND l.error_class <> '' AND excluded.urgency >= l.urgency AND NOT $9 THEN l.next_attempt_at
		WHEN damsync.is_pending(l) AND l.error_class = '' THEN least(l.next_attempt_at, excluded.next_attempt_at)
		ELSE excluded.next_attempt_at END,
	gone = l.gone OR excluded.gone,
	pollable = l.pollable AND excluded.pollable`

// lookupRequest says how and why assets are to be read.
type lookupRequest struct {
	obs      state.Observation
	class    grant.Class
	gone     bool
	pollable bool             // a page of the poll may answer it
	delay    time.Duration    // not before
	priority map[string]int64 // by asset; 0 for those that it lacks
}

// send requests that assets be read; an asset that is being read is read once more. Only an event, a person or a more
// urgent request ends the back-off of a lookup that failed: a poll that misses an asset each time must not spend a
// request each time.
func (r lookupRequest) send(ctx context.Context, tx pgx.Tx, refs []state.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	refs = inOrder(refs)
	id, typ, self := make([]string, len(refs)), make([]string, len(refs)), make([]string, len(refs))
	priority := make([]int64, len(refs))
	for i, ref := range refs {
		id[i], typ[i], self[i] = cleanText(ref.ID), cleanText(ref.Type), cleanText(ref.Self)
		priority[i] = r.priority[ref.ID]
	}
	atOnce := r.class == grant.Webhook || r.class == grant.Manual
	_, err := tx.Exec(ctx, requestLookupSQL, id, typ, self, string(r.class), r.class.Rank(), r.obs.Kind, r.obs.RunID, r.gone, atOnce, r.pollable, r.delay, priority)
	if err != nil {
		return fmt.Errorf("request lookups: %w", err)
	}
	return notify(ctx, tx, state.TopicLookup)
}

// inOrder returns each asset once, in the order in which all writers lock.
func inOrder(refs []state.Ref) []state.Ref {
	byID := func(a, b state.Ref) int { return strings.Compare(a.ID, b.ID) }
	refs = slices.SortedStableFunc(slices.Values(refs), byID)
	return slices.CompactFunc(refs, func(a, b state.Ref) bool { return a.ID == b.ID })
}

// shallowAsset is an asset of which the rules read more than is known.
type shallowAsset struct {
	state.Snapshot
	rank int
}

// priority orders assets by rank, and within a rank the last modified first.
func (a shallowAsset) priority() int64 {
	const rank = 100_000_000_000 // more than any Unix time in seconds
	return int64(a.rank+1)*rank - a.Asset.ModifiedAt.Unix()
}

// requestDetails requests what the rules read and the mirror does not know. A lookup that is pending already and as
// urgent will bring it.
func requestDetails(ctx context.Context, tx pgx.Tx, obs state.Observation, assets []shallowAsset) error {
	if len(assets) == 0 {
		return nil
	}
	r := lookupRequest{obs: obs, class: grant.Detail}
	if obs.Bulk {
		r.class, r.priority = grant.Backfill, make(map[string]int64, len(assets))
	}
	ids := make([]string, len(assets))
	for i, a := range assets {
		ids[i] = a.Asset.ID
	}
	pending, err := pendingLookups(ctx, tx, r.class, ids)
	if err != nil {
		return err
	}
	var refs []state.Ref
	for _, a := range assets {
		if pending[a.Asset.ID] {
			continue
		}
		refs = append(refs, state.Ref{ID: a.Asset.ID, Type: a.Asset.Type, Self: a.Asset.Self})
		if obs.Bulk {
			r.priority[a.Asset.ID] = a.priority()
		}
	}
	return r.send(ctx, tx, refs)
}

// pendingLookups returns those of ids that wait to be read, for class or a more urgent one.
func pendingLookups(ctx context.Context, tx pgx.Tx, class grant.Class, ids []string) (map[string]bool, error) {
	found, err := columnOf(ctx, tx, `SELECT asset_id FROM damsync.lookup l WHERE asset_id = ANY($1) AND damsync.is_pending(l) AND urgency <= $2
		AND (lease_until IS NULL OR lease_until < clock_timestamp())`, ids, class.Rank())
	if err != nil {
		return nil, fmt.Errorf("find pending lookups: %w", err)
	}
	pending := make(map[string]bool, len(found))
	for _, id := range found {
		pending[id] = true
	}
	return pending, nil
}

// RequestLookups requests that assets be read singly; an asset that is being read is read once more. gone marks assets
// that were not where they should be.
func (s *Store) RequestLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	return s.inTx(ctx, "request lookups", func(tx pgx.Tx) error {
		return lookupRequest{obs: obs, class: class, gone: gone}.send(ctx, tx, refs)
	})
}

// RequestWithinGrace requests again the assets that were read at least age ago and within the second of their last change,
// in which a further change does not move modified_at. It returns their number.
func (s *Store) RequestWithinGrace(ctx context.Context, obs state.Observation, age time.Duration) (int, error) {
	var n int
	err := s.inTx(ctx, "request assets read within their grace", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT a.id, a.type, a.self FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id
			WHERE NOT d.grace_over AND d.read_at < clock_timestamp() - $1::interval AND a.removed_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM damsync.lookup l WHERE l.asset_id = a.id AND damsync.is_pending(l))
			ORDER BY d.read_at LIMIT 1000`, age)
		if err != nil {
			return err
		}
		refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.Ref])
		if err != nil {
			return err
		}
		n = len(refs)
		return lookupRequest{obs: obs, class: grant.Detail}.send(ctx, tx, refs)
	})
	return n, err
}

// PendingLookups counts those of ids that are still to be read.
func (s *Store) PendingLookups(ctx context.Context, ids []string) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM damsync.lookup l WHERE asset_id = ANY($1) AND damsync.is_pending(l)`, ids).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count pending lookups: %w", err)
	}
	return n, nil
}

// CountOpenLookups counts, up to most, the lookups that may change how many assets the mirror has: those of assets that
// it does not have, and of assets that may be gone. A lookup that has failed repeatedly does not count.
func (s *Store) CountOpenLookups(ctx context.Context, most int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `
		SELECT count(*) FROM (
			SELECT FROM damsync.lookup l WHERE damsync.is_pending(l) AND (error_class = '' OR attempts < 5)
				AND (gone OR NOT EXISTS (SELECT FROM damsync.asset a WHERE a.id = l.asset_id AND a.removed_at IS NULL))
			LIMIT $1) open`, most).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count open lookups: %w", err)
	}
	return n, nil
}
