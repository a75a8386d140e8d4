package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

const placedSQL = `
SELECT asset_id, desired_present, desired_path, desired_version, desired_metadata_hash, desired_reason, guard, desired_generation,
	applied_state, applied_path, applied_version, applied_metadata_hash, applied_generation, sha256, size, remote_ref, remote_token, remote_hash,
	damsync.is_dirty(p) OR lease_owner IS NOT NULL
FROM damsync.placement p WHERE target = $1 AND asset_id = ANY($2)`

// Placed returns the placements of assets at target, by asset id.
func (s *Store) Placed(ctx context.Context, target string, ids []string) (map[string]state.Placed, error) {
	rows, err := s.pool.Query(ctx, placedSQL, target, ids)
	if err != nil {
		return nil, fmt.Errorf("read placements at %s: %w", target, err)
	}
	all, err := pgx.CollectRows(rows, scanPlaced)
	if err != nil {
		return nil, fmt.Errorf("read placements at %s: %w", target, err)
	}
	placed := make(map[string]state.Placed, len(all))
	for _, p := range all {
		placed[p.AssetID] = p
	}
	return placed, nil
}

func scanPlaced(row pgx.CollectableRow) (state.Placed, error) {
	var p state.Placed
	var desired, applied []byte
	d, a := &p.Desired, &p.Applied
	err := row.Scan(&p.AssetID, &d.Present, &d.Path, &d.Version, &desired, &d.Reason, &d.Guard, &p.Generation,
		&a.State, &a.Path, &a.Version, &applied, &a.Generation, &a.SHA256, &a.Size, &a.Ref, &a.Token, &a.Hash, &p.Moving)
	d.MetadataHash, a.MetadataHash = hashFrom(desired), hashFrom(applied)
	return p, err
}

// CountPlaced counts the placements of target that should be there and, as far as recorded, are.
func (s *Store) CountPlaced(ctx context.Context, target string) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM damsync.placement WHERE target = $1 AND desired_present AND applied_state = 'present'`, target).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count placements at %s: %w", target, err)
	}
	return n, nil
}

// HasPlacements reports whether any object of ours is recorded at target.
func (s *Store) HasPlacements(ctx context.Context, target string) (bool, error) {
	var has bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM damsync.placement WHERE target = $1 AND applied_state <> 'absent')`, target).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("find placements at %s: %w", target, err)
	}
	return has, nil
}

// NoteToken records the token of an object whose bytes were found to be those that were put, so that a verification by
// tokens does not report it as changed. A placement that has changed since it was read stays as it is.
func (s *Store) NoteToken(ctx context.Context, target string, p state.Placed, token string) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.placement p SET remote_token = $4
		WHERE target = $1 AND asset_id = $2 AND desired_generation = $3 AND NOT damsync.is_dirty(p) AND lease_owner IS NULL`,
		target, p.AssetID, p.Generation, cleanText(token))
	if err != nil {
		return fmt.Errorf("record token of %s: %w", p.AssetID, err)
	}
	return nil
}

// ForgetTarget records that nothing is at target: a person has emptied it and said so. Everything that should be
// there is put again. It returns how many placements that concerns.
func (s *Store) ForgetTarget(ctx context.Context, target string) (int64, error) {
	var n int64
	err := s.inTx(ctx, "forget what is at "+target, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE damsync.placement SET applied_state = 'absent', remote_ref = '', remote_token = '', remote_hash = '', sha256 = '', size = 0,
				guard = CASE WHEN desired_present THEN guard ELSE 'open' END,
				desired_generation = CASE WHEN desired_present THEN nextval('damsync.generation') ELSE desired_generation END,
				desired_at = CASE WHEN desired_present THEN clock_timestamp() ELSE desired_at END,
				intent_generation = NULL, intent_path = '', attempts = 0, next_attempt_at = clock_timestamp(), error_class = '', error = ''
			WHERE target = $1 AND applied_state <> 'absent' AND (lease_until IS NULL OR lease_until <= clock_timestamp())`, target)
		if err != nil {
			return err
		}
		n = tag.RowsAffected()
		return notify(ctx, tx, state.TopicPlacement)
	})
	return n, err
}
