package store

import (
	"context"
	"fmt"
	"time"
)

// Expired returns up to limit assets that have expired while one of targets still wants them, and the next expiry of
// a wanted asset after that (zero when there is none). It leaves out assets for which planning again would not help,
// because the rule fails or the detail has to be read first. Assets that expired long ago cost nothing: no target
// wants them.
func (s *Store) Expired(ctx context.Context, targets []string, limit int) (ids []string, next time.Time, err error) {
	ids, err = columnOf(ctx, s.pool, `
		SELECT DISTINCT p.asset_id
		FROM (VALUES (clock_timestamp())) AS clock (now) CROSS JOIN unnest($1::text[]) AS t (target) CROSS JOIN LATERAL (
			SELECT asset_id, target FROM damsync.placement WHERE target = t.target AND desired_present AND expires_at <= clock.now) p
		WHERE (SELECT d.of_modified_at = a.modified_at FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id WHERE d.asset_id = p.asset_id)
			AND NOT EXISTS (SELECT FROM damsync.decision_failure f WHERE f.asset_id = p.asset_id AND f.target = p.target)
		ORDER BY p.asset_id LIMIT $2`, targets, limit)
	if err != nil {
		return nil, next, fmt.Errorf("find expired assets: %w", err)
	}
	var at *time.Time
	err = s.pool.QueryRow(ctx, `
		SELECT min(p.expires_at)
		FROM (VALUES (clock_timestamp())) AS clock (now) CROSS JOIN unnest($1::text[]) AS t (target) CROSS JOIN LATERAL (
			SELECT expires_at FROM damsync.placement WHERE target = t.target AND desired_present AND expires_at > clock.now
			ORDER BY expires_at LIMIT 1) p`, targets).Scan(&at)
	if err != nil {
		return nil, next, fmt.Errorf("find the next expiry: %w", err)
	}
	if at != nil {
		next = *at
	}
	return ids, next, nil
}
