package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// ClaimPath reserves path at the target for the asset, so that two assets with the same path never overwrite each
// other. It is idempotent. holder is empty when the asset has the path, else the id of the asset that has it; leaving
// says that the holder is about to move away. An asset that does not get the path releases those at which it has
// nothing, so that two assets that never arrived do not wait for each other.
func (s *Store) ClaimPath(ctx context.Context, w state.Work, path string) (holder string, leaving bool, err error) {
	err = s.inTx(ctx, "claim path", func(tx pgx.Tx) error {
		// The update changes nothing; it makes the statement return the holder.
		err := tx.QueryRow(ctx, `INSERT INTO damsync.path_claim AS c (target, path, asset_id) VALUES ($1, $2, $3)
			ON CONFLICT (target, path) DO UPDATE SET asset_id = c.asset_id RETURNING asset_id`, w.Target, path, w.AssetID).Scan(&holder)
		if err != nil {
			return fmt.Errorf("reserve path: %w", err)
		}
		if holder == w.AssetID {
			return nil
		}
		if err := releaseUnused(ctx, tx, w); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM damsync.placement
			WHERE target = $1 AND asset_id = $2 AND desired_present AND desired_path = $3)`, w.Target, holder, path).Scan(&leaving)
		if err != nil {
			return fmt.Errorf("read the holder of the path: %w", err)
		}
		return nil
	})
	if holder == w.AssetID {
		return "", false, err
	}
	return holder, leaving, err
}

// HeldPaths returns the paths that the asset holds at the target: all where an attempt since the last finish may have
// put it.
func (s *Store) HeldPaths(ctx context.Context, w state.Work) ([]string, error) {
	paths, err := columnOf(ctx, s.pool, `SELECT path FROM damsync.path_claim WHERE target = $1 AND asset_id = $2 ORDER BY path`, w.Target, w.AssetID)
	if err != nil {
		return nil, fmt.Errorf("list paths of %s: %w", w.AssetID, err)
	}
	return paths, nil
}

// classConflict is the error class of a placement whose path is taken.
const classConflict = "conflict"

// lockHolder reports whether an asset holds the path that w needs, and keeps it so until tx ends: the transaction that
// releases the path then finds w waiting.
func lockHolder(ctx context.Context, tx pgx.Tx, w state.Work) (bool, error) {
	var one int
	err := tx.QueryRow(ctx, `SELECT 1 FROM damsync.path_claim WHERE target = $1 AND path = $2 FOR KEY SHARE`, w.Target, w.Desired.Path).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock path: %w", err)
	}
	return true, nil
}

// maxCycle bounds the chain of waiting assets that PathAwaited follows.
const maxCycle = 100

// PathAwaited reports whether w should move aside: another asset waits for a path that w holds, or w waits, through any
// number of assets, for one that does.
func (s *Store) PathAwaited(ctx context.Context, w state.Work) (bool, error) {
	var wanted bool
	err := s.pool.QueryRow(ctx, `
		WITH RECURSIVE holder AS (
			SELECT asset_id, 1 AS depth FROM damsync.path_claim WHERE target = $1 AND path = $3
			UNION ALL
			SELECT c.asset_id, depth + 1 FROM holder h
			JOIN damsync.placement p ON p.target = $1 AND p.asset_id = h.asset_id
			JOIN damsync.path_claim c ON c.target = $1 AND c.path = p.desired_path AND c.asset_id <> p.asset_id
			WHERE h.asset_id <> $2 AND depth < $4 AND p.desired_present AND damsync.is_dirty(p)
		)
		SELECT EXISTS (
			SELECT 1 FROM damsync.placement p JOIN damsync.path_claim c ON c.target = p.target AND c.path = p.desired_path
			WHERE p.target = $1 AND p.asset_id <> $2 AND p.error_class = 'conflict' AND damsync.is_dirty(p) AND c.asset_id = $2
		) OR EXISTS (SELECT 1 FROM holder WHERE asset_id = $2)`, w.Target, w.AssetID, w.Desired.Path, maxCycle).Scan(&wanted)
	if err != nil {
		return false, fmt.Errorf("find assets that wait for the path: %w", err)
	}
	return wanted, nil
}

// releaseUnused releases the paths at which the asset neither is nor may be after an attempt of unknown outcome.
func releaseUnused(ctx context.Context, tx pgx.Tx, w state.Work) error {
	keep := []string{w.IntentPath}
	var applied string
	err := tx.QueryRow(ctx, `SELECT applied_path FROM damsync.placement WHERE target = $1 AND asset_id = $2 AND applied_state = 'present'`,
		w.Target, w.AssetID).Scan(&applied)
	switch {
	case err == nil:
		keep = append(keep, applied)
	case !errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("read where the asset is: %w", err)
	}
	return releasePaths(ctx, tx, w.Target, w.AssetID, keep...)
}

// releasePaths releases every path of the asset but keep, and wakes the placements that wait for one.
func releasePaths(ctx context.Context, tx pgx.Tx, target, assetID string, keep ...string) error {
	paths, err := columnOf(ctx, tx, `DELETE FROM damsync.path_claim WHERE target = $1 AND asset_id = $2 AND path <> ALL($3) RETURNING path`,
		target, assetID, keep)
	if err != nil {
		return fmt.Errorf("release paths: %w", err)
	}
	if len(paths) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, `UPDATE damsync.placement p SET next_attempt_at = clock_timestamp()
		WHERE target = $1 AND desired_path = ANY($2) AND error_class = 'conflict' AND damsync.is_dirty(p)`, target, paths)
	if err != nil {
		return fmt.Errorf("wake placements that wait for a path: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// ReleasePaths releases every path of the asset but keep, without finishing the placement: after it was moved aside.
func (s *Store) ReleasePaths(ctx context.Context, w state.Work, keep string) error {
	return s.inTx(ctx, "release paths of "+w.AssetID, func(tx pgx.Tx) error {
		return releasePaths(ctx, tx, w.Target, w.AssetID, keep)
	})
}
