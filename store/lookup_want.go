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

const wantSQL = `
INSERT INTO damsync.lookup AS l (asset_id, asset_type, self, class, urgency, observation, run_id, gone, pollable, priority,
	next_attempt_at, wanted_at, last_wanted_at)
SELECT id, type, self, $4, $5, $6, nullif($7::bigint, 0), $8, $10, priority,
	clock_timestamp() + $11::interval, clock_timestamp(), clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $12::bigint[]) AS u (id, type, self, priority)
ON CONFLICT (asset_id) DO UPDATE SET
	wanted = l.wanted + 1,
	asset_type = CASE WHEN excluded.asset_type = '' THEN l.asset_type ELSE excluded.asset_type END,
	self = CASE WHEN excluded.self = '' THEN l.self ELSE excluded.self END,
	class = CASE WHEN l.wanted = l.done OR excluded.urgency < l.urgency THEN excluded.class ELSE l.class END,
	urgency = CASE WHEN l.wanted = l.done THEN excluded.urgency ELSE least(l.urgency, excluded.urgency) END,
	priority = CASE WHEN l.wanted = l.done OR excluded.urgency < l.urgency THEN excluded.priority ELSE least(l.priority, excluded.priority) END,
	observation = CASE WHEN l.wanted = l.done THEN excluded.observation ELSE l.observation END,
	run_id = CASE WHEN l.wanted = l.done THEN excluded.run_id ELSE l.run_id END,
	wanted_at = CASE WHEN l.wanted = l.done THEN excluded.wanted_at ELSE l.wanted_at END,
	last_wanted_at = excluded.last_wanted_at,
	next_attempt_at = CASE WHEN l.wanted > l.done AND l.error_class <> '' AND excluded.urgency >= l.urgency AND NOT $9 THEN l.next_attempt_at
		WHEN l.wanted > l.done AND l.error_class = '' THEN least(l.next_attempt_at, excluded.next_attempt_at)
		ELSE excluded.next_attempt_at END,
	gone = l.gone OR excluded.gone,
	pollable = l.pollable AND excluded.pollable`

// wish says how and why assets are to be read.
type wish struct {
	obs      state.Observation
	class    grant.Class
	gone     bool
	pollable bool             // a page of the poll may answer it
	after    time.Duration    // not before
	priority map[string]int64 // by asset; 0 for those that it leaves out
}

// want asks for assets to be read as soon as may be.
func want(ctx context.Context, tx pgx.Tx, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	return wish{obs: obs, class: class, gone: gone}.want(ctx, tx, refs)
}

// want asks for assets to be read; an asset that is being read just now is read
// once more. Only news of the asset, or somebody more urgent, ends the back-off of a lookup that
// failed: a poll that misses an asset each time must not spend a request each time.
func (w wish) want(ctx context.Context, tx pgx.Tx, refs []state.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	refs = inOrder(refs)
	id, typ, self := make([]string, len(refs)), make([]string, len(refs)), make([]string, len(refs))
	priority := make([]int64, len(refs))
	for i, r := range refs {
		id[i], typ[i], self[i] = cleanText(r.ID), cleanText(r.Type), cleanText(r.Self)
		priority[i] = w.priority[r.ID]
	}
	news := w.class == grant.Webhook || w.class == grant.Manual
	_, err := tx.Exec(ctx, wantSQL, id, typ, self, string(w.class), w.class.Rank(), w.obs.Kind, w.obs.RunID, w.gone, news, w.pollable, w.after, priority)
	if err != nil {
		return fmt.Errorf("ask for lookups: %w", err)
	}
	return notify(ctx, tx, state.TopicLookup)
}

// inOrder returns each asset once, in the order in which all writers lock.
func inOrder(refs []state.Ref) []state.Ref {
	byID := func(a, b state.Ref) int { return strings.Compare(a.ID, b.ID) }
	refs = slices.SortedStableFunc(slices.Values(refs), byID)
	return slices.CompactFunc(refs, func(a, b state.Ref) bool { return a.ID == b.ID })
}

// deeper is an asset of which the rules read more than is known.
type deeper struct {
	state.Known
	rank int
}

// priority puts the assets of a lower rank first, of one rank those that were modified last.
func (d deeper) priority() int64 {
	const rank = 100_000_000_000 // more seconds than there are in a time
	return int64(d.rank+1)*rank - d.Asset.ModifiedAt.Unix()
}

// wantDetails asks for what the rules read and the mirror does not know. A
// lookup that is pending already and as urgent will bring it.
func wantDetails(ctx context.Context, tx pgx.Tx, obs state.Observation, assets []deeper) error {
	if len(assets) == 0 {
		return nil
	}
	w := wish{obs: obs, class: grant.Detail}
	if obs.Bulk {
		w.class, w.priority = grant.Backfill, make(map[string]int64, len(assets))
	}
	ids := make([]string, len(assets))
	for i, d := range assets {
		ids[i] = d.Asset.ID
	}
	pending, err := pendingLookups(ctx, tx, w.class, ids)
	if err != nil {
		return err
	}
	var refs []state.Ref
	for _, d := range assets {
		if pending[d.Asset.ID] {
			continue
		}
		refs = append(refs, state.Ref{ID: d.Asset.ID, Type: d.Asset.Type, Self: d.Asset.Self})
		if obs.Bulk {
			w.priority[d.Asset.ID] = d.priority()
		}
	}
	return w.want(ctx, tx, refs)
}

// pendingLookups are those of ids that wait to be read, for class or somebody more urgent.
func pendingLookups(ctx context.Context, tx pgx.Tx, class grant.Class, ids []string) (map[string]bool, error) {
	rows, err := tx.Query(ctx, `SELECT asset_id FROM damsync.lookup WHERE asset_id = ANY($1) AND wanted > done AND urgency <= $2
		AND (lease_until IS NULL OR lease_until < clock_timestamp())`, ids, class.Rank())
	if err != nil {
		return nil, fmt.Errorf("look for pending lookups: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for pending lookups: %w", err)
	}
	pending := make(map[string]bool, len(found))
	for _, id := range found {
		pending[id] = true
	}
	return pending, nil
}

// WantLookups asks for assets to be read singly; an asset that is being read just now is read once
// more. gone marks assets that were not where they should be.
func (s *Store) WantLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	return s.inTx(ctx, "ask for lookups", func(tx pgx.Tx) error {
		return want(ctx, tx, obs, class, gone, refs)
	})
}

// WantUnsettled asks again for the assets that were read in the second of
// their last change, in which a further change does not move modified_at, and
// at least age ago.
func (s *Store) WantUnsettled(ctx context.Context, obs state.Observation, age time.Duration) (int, error) {
	var n int
	err := s.inTx(ctx, "ask for unsettled assets", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT a.id, a.type, a.self FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id
			WHERE NOT d.settled AND d.read_at < clock_timestamp() - $1::interval AND a.removed_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM damsync.lookup l WHERE l.asset_id = a.id AND l.wanted > l.done)
			ORDER BY d.read_at LIMIT 1000`, age)
		if err != nil {
			return err
		}
		refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.Ref])
		if err != nil {
			return err
		}
		n = len(refs)
		return want(ctx, tx, obs, grant.Detail, false, refs)
	})
	return n, err
}
