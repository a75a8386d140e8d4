package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// ClaimPath reserves path at the target for the asset, so that two assets that
// ask for one path never overwrite each other. It is idempotent. Holder is empty
// when the asset has it now, else the id of the asset that holds it; leaving
// says that the holder is itself about to move away. Who is refused lets go of
// the paths where it has nothing, lest two that never arrived wait for each other.
func (s *Store) ClaimPath(ctx context.Context, w state.Work, path string) (holder string, leaving bool, err error) {
	err = s.inTx(ctx, "claim path", func(tx pgx.Tx) error {
		// The update changes nothing but returns the holder there is.
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
			return fmt.Errorf("look what the holder of the path wants: %w", err)
		}
		return nil
	})
	if holder == w.AssetID {
		return "", false, err
	}
	return holder, leaving, err
}

// HeldPaths names the paths that the asset holds at the target: all where an
// attempt since the last finish may have put it.
func (s *Store) HeldPaths(ctx context.Context, w state.Work) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT path FROM damsync.path_claim WHERE target = $1 AND asset_id = $2 ORDER BY path`, w.Target, w.AssetID)
	if err != nil {
		return nil, fmt.Errorf("list paths of %s: %w", w.AssetID, err)
	}
	paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list paths of %s: %w", w.AssetID, err)
	}
	return paths, nil
}

// classConflict is the error class of a placement whose path something else
// holds.
const classConflict = "conflict"

// lockHolder reports whether anybody holds the path that w wants, and keeps it so
// until tx ends: who lets go of the path then finds w waiting.
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

// maxCycle bounds how far PathWanted follows who waits for whom.
const maxCycle = 100

// PathWanted reports whether w should step aside: somebody was refused a path that w holds,
// or w itself waits, over however many assets, for one that wants such a path.
func (s *Store) PathWanted(ctx context.Context, w state.Work) (bool, error) {
	var wanted bool
	err := s.pool.QueryRow(ctx, `
		WITH RECURSIVE holder AS (
			SELECT asset_id, 1 AS depth FROM damsync.path_claim WHERE target = $1 AND path = $3
			UNION ALL
			SELECT c.asset_id, depth + 1 FROM holder h
			JOIN damsync.placement p ON p.target = $1 AND p.asset_id = h.asset_id
			JOIN damsync.path_claim c ON c.target = $1 AND c.path = p.desired_path AND c.asset_id <> p.asset_id
			WHERE h.asset_id <> $2 AND depth < $4 AND p.desired_present AND p.desired_generation > p.applied_generation
		)
		SELECT EXISTS (
			SELECT 1 FROM damsync.placement p JOIN damsync.path_claim c ON c.target = p.target AND c.path = p.desired_path
			WHERE p.target = $1 AND p.asset_id <> $2 AND p.error_class = 'conflict' AND p.desired_generation > p.applied_generation
			AND c.asset_id = $2
		) OR EXISTS (SELECT 1 FROM holder WHERE asset_id = $2)`, w.Target, w.AssetID, w.Desired.Path, maxCycle).Scan(&wanted)
	if err != nil {
		return false, fmt.Errorf("look who waits for the path: %w", err)
	}
	return wanted, nil
}

// releaseUnused lets go of the paths at which the asset neither is nor, after an
// attempt whose outcome nobody knows, may be.
func releaseUnused(ctx context.Context, tx pgx.Tx, w state.Work) error {
	keep := []string{w.IntentPath}
	var applied string
	err := tx.QueryRow(ctx, `SELECT applied_path FROM damsync.placement WHERE target = $1 AND asset_id = $2 AND applied_state = 'present'`,
		w.Target, w.AssetID).Scan(&applied)
	switch {
	case err == nil:
		keep = append(keep, applied)
	case !errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("look where the asset is: %w", err)
	}
	return releasePaths(ctx, tx, w.Target, w.AssetID, keep...)
}

// releasePaths lets go of every path of the asset but keep, and wakes who waits for one.
func releasePaths(ctx context.Context, tx pgx.Tx, target, assetID string, keep ...string) error {
	rows, err := tx.Query(ctx, `DELETE FROM damsync.path_claim WHERE target = $1 AND asset_id = $2 AND path <> ALL($3) RETURNING path`,
		target, assetID, keep)
	if err != nil {
		return fmt.Errorf("release paths: %w", err)
	}
	paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("release paths: %w", err)
	}
	if len(paths) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, `UPDATE damsync.placement SET next_attempt_at = clock_timestamp()
		WHERE target = $1 AND desired_path = ANY($2) AND error_class = 'conflict' AND desired_generation > applied_generation`, target, paths)
	if err != nil {
		return fmt.Errorf("wake who waits for a path: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// ReleasePaths lets go of every path of the asset but keep, outside a finish: after a
// placement was parked to make room.
func (s *Store) ReleasePaths(ctx context.Context, w state.Work, keep string) error {
	return s.inTx(ctx, "release paths of "+w.AssetID, func(tx pgx.Tx) error {
		return releasePaths(ctx, tx, w.Target, w.AssetID, keep)
	})
}
