package store

import (
	"context"
	"fmt"
	"time"

	"damsync/internal/state"
)

// announcedSQL judges what moves modified_at, adds or removes: an event is known to tell of
// these. An asset that is new to the mirror counts when it is new in the library too.
const announcedSQL = `
	WITH found AS (
		SELECT entity_id AS asset_id, seen_at, observation FROM damsync.change
		WHERE seen_at > $1 AND seen_at <= $2 AND entity = 'asset' AND field IN ('modified_at', 'removed', 'restored')
		UNION ALL
		SELECT id, first_seen_at, first_seen_by FROM damsync.asset
		WHERE removed_at IS NULL AND created_at > $1::timestamptz - interval '1 hour' AND first_seen_at > $1 AND first_seen_at <= $2
	), judged AS (
		SELECT asset_id, observation = $3 OR EXISTS (SELECT FROM damsync.inbox i WHERE i.asset_id = found.asset_id
			AND i.received_at BETWEEN found.seen_at - $4::interval AND found.seen_at + $5::interval) AS announced
		FROM found WHERE observation IN ($3, 'incremental', 'audit', 'sweep')
	)
	SELECT count(*) FILTER (WHERE announced), count(*) FILTER (WHERE NOT announced), coalesce(min(asset_id) FILTER (WHERE NOT announced), '')
	FROM judged`

// Announced judges the changes that were found in (from, upTo]: one is announced when an event found
// it, or told of the asset at most before earlier or after later than it was found.
func (s *Store) Announced(ctx context.Context, from, upTo time.Time, before, after time.Duration) (state.Announcement, error) {
	var a state.Announcement
	err := s.pool.QueryRow(ctx, announcedSQL, from, upTo, state.KindWebhook, before, after).Scan(&a.Announced, &a.Unannounced, &a.Asset)
	if err != nil {
		return a, fmt.Errorf("judge what was announced: %w", err)
	}
	return a, nil
}
