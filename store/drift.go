package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// NoteListed records which assets a target's list has named in a run. It is idempotent.
func (s *Store) NoteListed(ctx context.Context, run state.Run, target string, ids []string) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO damsync.listed (run_id, target, asset_id) SELECT $1, $2, unnest($3::text[]) ON CONFLICT DO NOTHING`,
		run.ID, target, ids)
	if err != nil {
		return fmt.Errorf("record the list of %s: %w", target, err)
	}
	return nil
}

// Unlisted returns up to limit assets after the given one, in the order of their ids, that are in place at target and
// that its list did not name.
func (s *Store) Unlisted(ctx context.Context, run state.Run, target, after string, limit int) ([]string, error) {
	ids, err := columnOf(ctx, s.pool, `
		SELECT p.asset_id FROM damsync.placement p
		WHERE p.target = $2 AND p.asset_id > $3 AND p.desired_present AND p.applied_state = 'present'
			AND NOT damsync.is_dirty(p) AND p.lease_owner IS NULL
			AND NOT EXISTS (SELECT 1 FROM damsync.listed l WHERE l.run_id = $1 AND l.target = p.target AND l.asset_id = p.asset_id)
		ORDER BY p.asset_id LIMIT $4`, run.ID, target, after, limit)
	if err != nil {
		return nil, fmt.Errorf("find what %s does not list: %w", target, err)
	}
	return ids, nil
}

// ClaimedInMotion returns those of paths that belong to placements which are dirty or claimed, or were applied since the
// run started: an object there may lack its mark for a moment.
func (s *Store) ClaimedInMotion(ctx context.Context, run state.Run, target string, paths []string) (map[string]bool, error) {
	held, err := columnOf(ctx, s.pool, `
		SELECT c.path FROM damsync.path_claim c JOIN damsync.placement p ON p.target = c.target AND p.asset_id = c.asset_id
		WHERE c.target = $1 AND c.path = ANY($2) AND (damsync.is_dirty(p) OR p.lease_owner IS NOT NULL OR p.applied_at >= $3)`,
		target, paths, run.StartedAt)
	if err != nil {
		return nil, fmt.Errorf("find holders of paths at %s: %w", target, err)
	}
	moving := make(map[string]bool, len(held))
	for _, p := range held {
		moving[p] = true
	}
	return moving, nil
}

// AddDrift records what a run has found. It becomes visible when EndVerification ends the verification of the target.
func (s *Store) AddDrift(ctx context.Context, run state.Run, target string, found []state.Drift) error {
	source := pgx.CopyFromSlice(len(found), func(i int) ([]any, error) {
		d := found[i]
		return []any{run.ID, target, string(d.Kind), cleanText(d.AssetID), cleanText(d.Path), cleanText(d.Differs)}, nil
	})
	_, err := s.pool.CopyFrom(ctx, pgx.Identifier{"damsync", "drift"}, []string{"run_id", "target", "kind", "asset_id", "path", "differs"}, source)
	if err != nil {
		return fmt.Errorf("record drift at %s: %w", target, err)
	}
	return nil
}

// EndVerification replaces the drift of a target by what the run has found there.
func (s *Store) EndVerification(ctx context.Context, v state.Verification) error {
	return s.inTx(ctx, "end verification of "+v.Target, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO damsync.verification (target, run_id, depth, started_at, ended_at, listed, missing, changed, orphaned, foreign_objects, unverified)
			VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7, $8, $9, $10)
			ON CONFLICT (target) DO UPDATE SET run_id = excluded.run_id, depth = excluded.depth, started_at = excluded.started_at,
				ended_at = excluded.ended_at, listed = excluded.listed, missing = excluded.missing, changed = excluded.changed,
				orphaned = excluded.orphaned, foreign_objects = excluded.foreign_objects, unverified = excluded.unverified`,
			v.Target, v.RunID, v.Depth, v.StartedAt, v.Listed, v.Counts[state.DriftMissing], v.Counts[state.DriftChanged],
			v.Counts[state.DriftOrphaned], v.Counts[state.DriftForeign], v.Counts[state.DriftUnverified])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM damsync.drift WHERE target = $1 AND run_id <> $2`, v.Target, v.RunID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM damsync.listed WHERE target = $1`, v.Target)
		return err
	})
}

// Verifications returns the last verification of each target, ordered by name.
func (s *Store) Verifications(ctx context.Context) ([]state.Verification, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT target, depth, run_id, started_at, ended_at, listed, missing, changed, orphaned, foreign_objects, unverified FROM damsync.verification ORDER BY target`)
	if err != nil {
		return nil, fmt.Errorf("read verifications: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (state.Verification, error) {
		v := state.Verification{Counts: state.DriftCounts{}}
		var missing, changed, orphaned, foreign, unverified int64
		err := row.Scan(&v.Target, &v.Depth, &v.RunID, &v.StartedAt, &v.EndedAt, &v.Listed, &missing, &changed, &orphaned, &foreign, &unverified)
		v.Counts[state.DriftMissing], v.Counts[state.DriftChanged] = missing, changed
		v.Counts[state.DriftOrphaned], v.Counts[state.DriftForeign] = orphaned, foreign
		v.Counts[state.DriftUnverified] = unverified
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("read verifications: %w", err)
	}
	return all, nil
}

// Drifted returns up to limit assets and paths that a run found missing, changed or orphaned at target, in the order in
// which it found them. after is the last of the previous call, 0 at the beginning.
func (s *Store) Drifted(ctx context.Context, run state.Run, target string, after int64, limit int) (found []state.Drift, last int64, err error) {
	rows, err := s.pool.Query(ctx, `SELECT id, asset_id, path FROM damsync.drift WHERE run_id = $1 AND target = $2 AND id > $3 AND kind NOT IN ('foreign', 'unverified') ORDER BY id LIMIT $4`,
		run.ID, target, after, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read drift at %s: %w", target, err)
	}
	var d state.Drift
	_, err = pgx.ForEachRow(rows, []any{&last, &d.AssetID, &d.Path}, func() error {
		found = append(found, d)
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read drift at %s: %w", target, err)
	}
	return found, last, nil
}

// Drift returns up to limit objects that the last verification of target found and whose repair has not begun, foreign
// ones last.
func (s *Store) Drift(ctx context.Context, target string, limit int) ([]state.Drift, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT d.kind, d.asset_id, d.path, d.differs FROM damsync.drift d
		JOIN damsync.verification v ON v.target = d.target AND v.run_id = d.run_id
		WHERE d.target = $1 ORDER BY d.kind = 'foreign', d.id LIMIT $2`, target, limit)
	if err != nil {
		return nil, fmt.Errorf("read drift at %s: %w", target, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (state.Drift, error) {
		var d state.Drift
		return d, row.Scan(&d.Kind, &d.AssetID, &d.Path, &d.Differs)
	})
	if err != nil {
		return nil, fmt.Errorf("read drift at %s: %w", target, err)
	}
	return found, nil
}
