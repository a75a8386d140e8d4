package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// RecentWindow is how long a released removal counts towards the next wave.
const RecentWindow = time.Minute

// EvaluateRemovals counts the removals that wait at target, evaluates the limit, and does what it answers, under a lock that all
// replicas share. It returns the wave and the answer; it does not evaluate when nothing waits. It never releases a
// removal that was not counted: when more came after the count, the answer is GuardWait.
func (s *Store) EvaluateRemovals(ctx context.Context, target string, limit state.GuardLimit) (state.Wave, state.GuardAnswer, error) {
	var wave state.Wave
	answer := state.GuardWait
	err := s.inTx(ctx, "evaluate removals at "+target, func(tx pgx.Tx) error {
		if err := lockGuard(ctx, tx, target); err != nil {
			return err
		}
		var err error
		answer = state.GuardWait
		if wave, err = countWave(ctx, tx, target, limit.Enough); err != nil || wave.Waiting == 0 {
			return err
		}
		answer = limit.Evaluate(wave)
		switch answer {
		case state.GuardRelease:
			released, err := releaseWaiting(ctx, tx, target)
			if err == nil && released > int64(wave.Waiting) {
				return errWaveGrew
			}
			return err
		case state.GuardHold:
			_, err := tx.Exec(ctx, `UPDATE damsync.placement SET guard = 'held' WHERE target = $1 AND guard = 'waiting'`, target)
			return err
		}
		return nil
	})
	if errors.Is(err, errWaveGrew) {
		wave.NewestAge = 0
		return wave, state.GuardWait, nil
	}
	return wave, answer, err
}

// errWaveGrew rolls a release back: removals came between the count and the release.
var errWaveGrew = errors.New("the wave grew after it was counted")

// lockGuard serializes evaluating and releasing the removals of target.
func lockGuard(ctx context.Context, tx pgx.Tx, target string) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('damsync guard ' || $1, 0))`, target); err != nil {
		return fmt.Errorf("lock removal guard: %w", err)
	}
	return nil
}

// countWave counts the removals at target, and the objects there up to the number that enough returns.
func countWave(ctx context.Context, tx pgx.Tx, target string, enough func(state.Wave) int) (state.Wave, error) {
	var w state.Wave
	err := tx.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE guard = 'waiting'), count(*) FILTER (WHERE guard = 'held'),
			coalesce(clock_timestamp() - max(desired_at) FILTER (WHERE guard = 'waiting'), '1 hour')
		FROM damsync.placement WHERE target = $1 AND guard <> 'open'`, target).Scan(&w.Waiting, &w.Held, &w.NewestAge)
	if err != nil || w.Waiting == 0 {
		return w, err
	}
	err = tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM damsync.lookup l JOIN damsync.placement p ON p.asset_id = l.asset_id
				WHERE damsync.is_pending(l) AND l.gone AND p.target = $1 AND p.applied_state = 'present' AND p.desired_present),
			(SELECT coalesce(sum(count), 0) FROM damsync.removal WHERE target = $1 AND NOT approved
				AND at > clock_timestamp() - $2::interval)`, target, RecentWindow).
		Scan(&w.Suspects, &w.Recent)
	if err != nil {
		return w, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM damsync.placement
		WHERE target = $1 AND applied_state = 'present' ORDER BY asset_id LIMIT $2) AS present`, target, enough(w)).Scan(&w.Present)
	return w, err
}

// releaseWaiting releases the removals that wait, and returns their number.
func releaseWaiting(ctx context.Context, tx pgx.Tx, target string) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE damsync.placement SET guard = 'open', next_attempt_at = clock_timestamp()
		WHERE target = $1 AND guard = 'waiting'`, target)
	if err != nil {
		return 0, fmt.Errorf("release removals: %w", err)
	}
	return tag.RowsAffected(), recordRemovals(ctx, tx, target, tag.RowsAffected(), false)
}

// recordRemovals records released removals, which the limits count, and wakes the pushers.
func recordRemovals(ctx context.Context, tx pgx.Tx, target string, released int64, approved bool) error {
	if released == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `INSERT INTO damsync.removal (target, count, approved, at) VALUES ($1, $2, $3, clock_timestamp())`, target, released, approved); err != nil {
		return fmt.Errorf("record removals: %w", err)
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// Approve releases the removals of wave in one step and returns their number. It leaves out removals that were planned
// again or have come to be held since the wave was read; left counts those that are held.
func (s *Store) Approve(ctx context.Context, target string, wave state.HeldWave) (approved, left int64, err error) {
	err = s.inTx(ctx, "approve removals at "+target, func(tx pgx.Tx) error {
		if err := lockGuard(ctx, tx, target); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE damsync.placement p SET guard = 'open', next_attempt_at = clock_timestamp()
			FROM unnest($2::text[], $3::bigint[]) AS u (asset_id, generation)
			WHERE p.target = $1 AND p.asset_id = u.asset_id AND p.desired_generation = u.generation AND p.guard = 'held'`,
			target, wave.AssetIDs, wave.Generations)
		if err != nil {
			return fmt.Errorf("release removals: %w", err)
		}
		approved = tag.RowsAffected()
		if err := recordRemovals(ctx, tx, target, approved, true); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT count(*) FROM damsync.placement WHERE target = $1 AND guard = 'held'`, target).Scan(&left)
	})
	return approved, left, err
}

// Held returns the removals of target that wait for approval, with details of the first ones, up to shown.
func (s *Store) Held(ctx context.Context, target string, shown int) (state.HeldWave, error) {
	var wave state.HeldWave
	rows, err := s.pool.Query(ctx, `
		SELECT p.asset_id, coalesce(a.title, ''), p.applied_path, p.desired_reason, p.desired_generation
		FROM damsync.placement p LEFT JOIN damsync.asset a ON a.id = p.asset_id
		WHERE p.target = $1 AND p.guard = 'held' ORDER BY p.applied_path, p.asset_id`, target)
	if err != nil {
		return wave, fmt.Errorf("list held removals: %w", err)
	}
	var h state.HeldRemoval
	var generation int64
	_, err = pgx.ForEachRow(rows, []any{&h.AssetID, &h.Title, &h.Path, &h.Reason, &generation}, func() error {
		if len(wave.First) < shown {
			wave.First = append(wave.First, h)
		}
		wave.AssetIDs, wave.Generations = append(wave.AssetIDs, h.AssetID), append(wave.Generations, generation)
		return nil
	})
	if err != nil {
		return wave, fmt.Errorf("list held removals: %w", err)
	}
	return wave, nil
}
