package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

const (
	// maxLift bounds how far a mark found at a target raises the sequence of generations. No copy of the database is
	// that much older, so a mark above it is implausible, and following it would use up the numbers of every target.
	maxLift = int64(1) << 40
	// generationMargin exceeds what other sessions can allocate between reading the sequence and setval, so no
	// generation is issued twice.
	generationMargin = int64(1) << 20
)

// raiseSequence raises the generations to come above those found at a target. An implausible one is ignored.
func raiseSequence(ctx context.Context, tx pgx.Tx, found []int64) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('damsync generation', 0))`); err != nil {
		return fmt.Errorf("lock generations: %w", err)
	}
	_, err := tx.Exec(ctx, `SELECT setval('damsync.generation', max(f.generation) + $3)
		FROM unnest($1::bigint[]) AS f (generation), damsync.generation s
		WHERE f.generation <= s.last_value + $2 HAVING max(f.generation) > max(s.last_value)`, found, maxLift, generationMargin)
	if err != nil {
		return fmt.Errorf("raise generations: %w", err)
	}
	return nil
}

// RaiseGeneration raises the generation of a placement above what its target holds, as after the database was restored
// from an older copy. A generation that is higher already stays. ErrLeaseLost: another worker has the placement.
// ErrSpoiltMark: damsync has never issued a generation as high as above.
func (s *Store) RaiseGeneration(ctx context.Context, w state.Work, above int64) error {
	return s.inTx(ctx, "raise generation of "+w.AssetID, func(tx pgx.Tx) error {
		if err := raiseSequence(ctx, tx, []int64{above}); err != nil {
			return err
		}
		var implausible bool
		if err := tx.QueryRow(ctx, `SELECT last_value < $1 FROM damsync.generation`, above).Scan(&implausible); err != nil {
			return fmt.Errorf("read generation: %w", err)
		}
		if implausible {
			return fmt.Errorf("generation %d: %w", above, state.ErrUnknownGeneration)
		}
		tag, err := tx.Exec(ctx, `UPDATE damsync.placement
			SET desired_generation = CASE WHEN desired_generation <= $4 THEN nextval('damsync.generation') ELSE desired_generation END
			WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), above)
		return oneRow(tag.RowsAffected(), err, "write it")
	})
}
