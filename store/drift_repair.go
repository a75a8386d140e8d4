package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

const repairSQL = `
UPDATE damsync.placement p SET desired_generation = nextval('damsync.generation'), desired_at = clock_timestamp(),
	applied_state = CASE WHEN u.unseen THEN 'incomplete' ELSE p.applied_state END,
	applied_path = CASE WHEN u.unseen THEN u.path ELSE p.applied_path END,
	remote_ref = CASE WHEN u.unseen THEN u.ref ELSE p.remote_ref END,
	intent_generation = CASE WHEN u.unseen THEN NULL ELSE p.applied_generation END,
	intent_path = CASE WHEN u.unseen THEN '' ELSE coalesce(nullif(u.path, ''), p.applied_path) END,
	attempts = 0, next_attempt_at = clock_timestamp(), error_class = '', error = ''
FROM (SELECT * FROM unnest($2::text[], $3::bigint[], $4::boolean[], $5::text[], $6::text[]) AS u (asset_id, generation, unseen, path, ref) ORDER BY asset_id) u
WHERE p.target = $1 AND p.asset_id = u.asset_id AND p.desired_generation = u.generation
	AND NOT damsync.is_dirty(p) AND p.lease_owner IS NULL AND p.desired_present
RETURNING p.asset_id`

// Repair makes placements dirty that are missing or changed at target, and wakes the pushers. Each gets a generation
// above the one that was found. Where the target's own answer shows what is wrong, an open intent makes the push look
// there first, including at the path where the object was found. Otherwise the placement is recorded as incomplete, so
// that its bytes are put whatever the target answers. A placement that has changed since it was read is left alone.
// Where the mark found is spoilt, the push fails with that reason. Repair returns how many placements it made dirty.
func (s *Store) Repair(ctx context.Context, run state.Run, target string, found []state.Drift) (int64, error) {
	var n int64
	err := s.inTx(ctx, "repair drift at "+target, func(tx pgx.Tx) error {
		n = 0
		if err := raiseSequence(ctx, tx, generationsOf(found)); err != nil {
			return err
		}
		k := len(found)
		ids, generations, unseen, paths, refs := make([]string, k), make([]int64, k), make([]bool, k), make([]string, k), make([]string, k)
		for i, d := range found {
			ids[i], generations[i], unseen[i] = d.AssetID, d.Of.Generation, d.Unseen
			paths[i], refs[i] = cleanText(d.Found.Path), cleanText(d.Found.Ref)
		}
		repaired, err := columnOf(ctx, tx, repairSQL, target, ids, generations, unseen, paths, refs)
		if err != nil {
			return err
		}
		if err := clearDrift(ctx, tx, run, target, repaired); err != nil {
			return err
		}
		n = int64(len(repaired))
		return notify(ctx, tx, state.TopicPlacement)
	})
	return n, err
}

// clearDrift removes what is being repaired from the drift of its target: it has become work.
func clearDrift(ctx context.Context, tx pgx.Tx, run state.Run, target string, ids []string) error {
	_, err := tx.Exec(ctx, `
		WITH cleared AS (
			DELETE FROM damsync.drift WHERE run_id = $1 AND target = $2 AND asset_id = ANY($3) RETURNING kind
		)
		UPDATE damsync.verification SET
			missing = missing - (SELECT count(*) FROM cleared WHERE kind = 'missing'),
			changed = changed - (SELECT count(*) FROM cleared WHERE kind = 'changed'),
			orphaned = orphaned - (SELECT count(*) FROM cleared WHERE kind = 'orphaned')
		WHERE run_id = $1 AND target = $2`, run.ID, target, ids)
	return err
}

// generationsOf returns the generations in the marks of what was found.
func generationsOf(found []state.Drift) []int64 {
	generations := make([]int64, len(found))
	for i, d := range found {
		generations[i] = d.Found.Generation
	}
	return generations
}

const retireOrphansSQL = `
INSERT INTO damsync.placement AS p (target, asset_id, desired_present, desired_path, desired_version, desired_metadata, desired_metadata_hash,
	desired_reason, desired_generation, desired_at, urgency, guard, next_attempt_at,
	applied_state, applied_path, applied_version, applied_metadata_hash, applied_generation, applied_at, sha256, size, remote_ref, remote_token)
SELECT $1, asset_id, false, '', '', '{}', '', $2, nextval('damsync.generation'), clock_timestamp(), $3, 'waiting', clock_timestamp(),
	state, path, version, decode(hash, 'hex'), CASE WHEN generation <= s.last_value THEN generation ELSE 0 END, clock_timestamp(), sha256, size, ref, token
FROM damsync.generation s, jsonb_to_recordset($4) AS u (asset_id text, state text, path text, version text, hash text, generation bigint, sha256 text, size bigint, ref text, token text)
WHERE NOT EXISTS (SELECT 1 FROM damsync.lookup l WHERE l.asset_id = u.asset_id AND damsync.is_pending(l))
	AND NOT EXISTS (SELECT 1 FROM damsync.decision_failure f WHERE f.asset_id = u.asset_id AND f.target = $1)
ORDER BY asset_id
ON CONFLICT (target, asset_id) DO UPDATE SET
	desired_reason = excluded.desired_reason, desired_generation = excluded.desired_generation, desired_at = excluded.desired_at,
	urgency = excluded.urgency, guard = excluded.guard, next_attempt_at = excluded.next_attempt_at,
	applied_state = excluded.applied_state, applied_path = excluded.applied_path, applied_version = excluded.applied_version,
	applied_metadata_hash = excluded.applied_metadata_hash, applied_generation = excluded.applied_generation, applied_at = excluded.applied_at,
	sha256 = excluded.sha256, size = excluded.size, remote_ref = excluded.remote_ref, remote_token = excluded.remote_token,
	intent_generation = NULL, intent_path = '', attempts = 0, error_class = '', error = ''
WHERE NOT p.desired_present AND NOT damsync.is_dirty(p) AND p.lease_owner IS NULL
RETURNING p.asset_id`

// RetireOrphans plans removals of objects that no placement wants at target. They wait for the removal guard like any
// other removal. An asset that is still to be read, or on which a rule fails, is left until that is decided; a placement
// that is dirty or claimed is left alone. A spoilt mark is not taken as the applied generation: the push finds it and
// fails with that reason. RetireOrphans returns how many removals wait, and how many objects a placement has come to
// want there.
func (s *Store) RetireOrphans(ctx context.Context, run state.Run, target, reason string, found []state.Drift) (retired, wanted int64, err error) {
	rows, ids, err := orphanRows(found)
	if err != nil {
		return 0, 0, err
	}
	err = s.inTx(ctx, "retire orphans at "+target, func(tx pgx.Tx) error {
		if err := raiseSequence(ctx, tx, generationsOf(found)); err != nil {
			return err
		}
		gone, err := columnOf(ctx, tx, retireOrphansSQL, target, reason, grant.Manual.Rank(), rows)
		if err != nil {
			return err
		}
		kept, err := columnOf(ctx, tx, `SELECT asset_id FROM damsync.placement WHERE target = $1 AND asset_id = ANY($2) AND desired_present`, target, ids)
		if err != nil {
			return err
		}
		retired, wanted = int64(len(gone)), int64(len(kept))
		if err := clearDrift(ctx, tx, run, target, append(gone, kept...)); err != nil {
			return err
		}
		return notify(ctx, tx, state.TopicGuard)
	})
	return retired, wanted, err
}

// orphanRows encodes what was found for retireOrphansSQL.
func orphanRows(found []state.Drift) (rows []byte, ids []string, err error) {
	type row struct {
		AssetID    string `json:"asset_id"`
		State      string `json:"state"`
		Path       string `json:"path"`
		Version    string `json:"version"`
		Hash       string `json:"hash"`
		Generation int64  `json:"generation"`
		SHA256     string `json:"sha256"`
		Size       int64  `json:"size"`
		Ref        string `json:"ref"`
		Token      string `json:"token"`
	}
	all := make([]row, len(found))
	for i, d := range found {
		o := d.Found
		ids = append(ids, d.AssetID)
		all[i] = row{
			d.AssetID, o.State, cleanText(o.Path), cleanText(o.Version), hex.EncodeToString(o.MetadataHash[:]), o.Generation,
			cleanText(o.SHA256), o.Size, cleanText(o.Ref), cleanText(o.Token),
		}
	}
	if rows, err = json.Marshal(all); err != nil {
		return nil, nil, fmt.Errorf("encode orphans: %w", err)
	}
	return rows, ids, nil
}
