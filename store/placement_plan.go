package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

type assetChange struct {
	asset string
	state.Change
}

const writePlacementsSQL = `
INSERT INTO damsync.placement AS p (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
	desired_metadata_hash, desired_reason, desired_generation, desired_at, urgency, guard, next_attempt_at, expires_at)
SELECT target, asset_id, present, path, version, metadata, hash, reason, nextval('damsync.generation'), clock_timestamp(), $10, 'open',
	clock_timestamp(), (SELECT d.expires_at FROM damsync.asset_detail d WHERE d.asset_id = u.asset_id)
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::text[], $9::boolean[])
	AS u (target, asset_id, present, path, version, metadata, hash, reason, guarded)
ON CONFLICT (target, asset_id) DO UPDATE SET
	desired_present = excluded.desired_present, desired_path = excluded.desired_path, desired_version = excluded.desired_version,
	desired_metadata = excluded.desired_metadata, desired_metadata_hash = excluded.desired_metadata_hash,
	desired_reason = excluded.desired_reason, desired_generation = excluded.desired_generation,
	desired_at = excluded.desired_at, expires_at = excluded.expires_at,
	urgency = CASE WHEN damsync.is_dirty(p) THEN least(p.urgency, excluded.urgency) ELSE excluded.urgency END,
	guard = CASE WHEN p.applied_state NOT IN ('present', 'incomplete') AND p.intent_generation IS NULL THEN 'open'
		WHEN (p.target, p.asset_id) IN (SELECT u.target, u.asset_id FROM unnest($1::text[], $2::text[], $9::boolean[]) AS u (target, asset_id, guarded) WHERE u.guarded)
		THEN 'waiting' ELSE 'open' END,
	attempts = 0, next_attempt_at = excluded.next_attempt_at, error_class = '', error = ''`

// writePlacements raises the generation of each placement and wakes the pushers. A removal of something that may be
// there waits for the removal guard.
func writePlacements(ctx context.Context, tx pgx.Tx, urgency int, changes []assetChange) error {
	if len(changes) == 0 {
		return nil
	}
	n := len(changes)
	var (
		target, asset, path, version = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		metadata, reason             = make([]string, n), make([]string, n)
		present, guarded             = make([]bool, n), make([]bool, n)
		hash                         = make([][]byte, n)
	)
	anyGuarded := false
	for i, c := range changes {
		d := c.Desired
		target[i], asset[i], path[i], version[i], reason[i] = c.Target, c.asset, cleanText(d.Path), cleanText(d.Version), cleanText(d.Reason)
		present[i], guarded[i] = d.Present, c.Guarded
		metadata[i] = cleanJSON(d.Metadata)
		hash[i] = d.MetadataHash[:]
		anyGuarded = anyGuarded || c.Guarded
	}
	if _, err := tx.Exec(ctx, writePlacementsSQL, target, asset, present, path, version, metadata, hash, reason, guarded, urgency); err != nil {
		return fmt.Errorf("write placements: %w", err)
	}
	if anyGuarded {
		if err := notify(ctx, tx, state.TopicGuard); err != nil {
			return err
		}
	}
	return notify(ctx, tx, state.TopicPlacement)
}
