package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

const (
	// maxLift bounds how far a mark found at a target lifts the generations to
	// come. No copy of the database is that much older: a mark above it is
	// spoilt, and obeying it would use up the numbers of every target.
	maxLift = int64(1) << 40
	// liftMargin is more than others draw between the look at the sequence and
	// its lifting, which would give their numbers out again.
	liftMargin = int64(1) << 20
)

// overtake lifts the generations to come above those that were found at a
// target. A spoilt one lifts nothing.
func overtake(ctx context.Context, tx pgx.Tx, found []int64) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('damsync generation', 0))`); err != nil {
		return fmt.Errorf("lock generations: %w", err)
	}
	_, err := tx.Exec(ctx, `SELECT setval('damsync.generation', max(f.generation) + $3)
		FROM unnest($1::bigint[]) AS f (generation), damsync.generation s
		WHERE f.generation <= s.last_value + $2 HAVING max(f.generation) > max(s.last_value)`, found, maxLift, liftMargin)
	if err != nil {
		return fmt.Errorf("lift generations: %w", err)
	}
	return nil
}

// RaiseGeneration lifts the generation of a placement above what its target
// holds, as after the database was restored from an older copy. One whose
// generation is higher already stays as it is. ErrLeaseLost: another worker has
// it. ErrSpoiltMark: above is nothing that damsync has given out.
func (s *Store) RaiseGeneration(ctx context.Context, w state.Work, above int64) error {
	return s.inTx(ctx, "raise generation of "+w.AssetID, func(tx pgx.Tx) error {
		if err := overtake(ctx, tx, []int64{above}); err != nil {
			return err
		}
		var spoilt bool
		if err := tx.QueryRow(ctx, `SELECT last_value < $1 FROM damsync.generation`, above).Scan(&spoilt); err != nil {
			return fmt.Errorf("read generation: %w", err)
		}
		if spoilt {
			return fmt.Errorf("generation %d: %w", above, state.ErrSpoiltMark)
		}
		tag, err := tx.Exec(ctx, `UPDATE damsync.placement
			SET desired_generation = CASE WHEN desired_generation <= $4 THEN nextval('damsync.generation') ELSE desired_generation END
			WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), above)
		return oneRow(tag.RowsAffected(), err, "write it")
	})
}
