package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// RecentWindow is how long a removal let through counts towards the next wave.
const RecentWindow = time.Minute

// JudgeRemovals counts the wave of target, asks admit, and does what it says,
// under a lock that all replicas share. It returns the wave and the answer; a
// target where nothing waits is not judged. What was not counted is never let
// through: when more came while admit judged, the answer is GateWait.
func (s *Store) JudgeRemovals(ctx context.Context, target string, admit func(state.Wave) state.GateAnswer) (state.Wave, state.GateAnswer, error) {
	var wave state.Wave
	answer := state.GateWait
	err := s.inTx(ctx, "judge removals at "+target, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('damsync gate ' || $1, 0))`, target); err != nil {
			return fmt.Errorf("lock gate: %w", err)
		}
		var err error
		answer = state.GateWait
		if wave, err = countWave(ctx, tx, target); err != nil || wave.Waiting == 0 {
			return err
		}
		answer = admit(wave)
		switch answer {
		case state.GateRelease:
			opened, err := openGate(ctx, tx, target, "waiting", false)
			if err == nil && opened > int64(wave.Waiting) {
				return errWaveGrew
			}
			return err
		case state.GateHold:
			_, err := tx.Exec(ctx, `UPDATE damsync.placement SET gate = 'held' WHERE target = $1 AND gate = 'waiting'`, target)
			return err
		}
		return nil
	})
	if errors.Is(err, errWaveGrew) {
		wave.NewestAge = 0
		return wave, state.GateWait, nil
	}
	return wave, answer, err
}

// errWaveGrew rolls a release back: removals came between counting and opening.
var errWaveGrew = errors.New("the wave grew while it was judged")

func countWave(ctx context.Context, tx pgx.Tx, target string) (state.Wave, error) {
	var w state.Wave
	err := tx.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE gate = 'waiting'), count(*) FILTER (WHERE gate = 'held'),
			coalesce(clock_timestamp() - max(desired_at) FILTER (WHERE gate = 'waiting'), '1 hour')
		FROM damsync.placement WHERE target = $1 AND gate <> 'open'`, target).Scan(&w.Waiting, &w.Held, &w.NewestAge)
	if err != nil || w.Waiting == 0 {
		return w, err
	}
	err = tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM damsync.lookup l JOIN damsync.placement p ON p.asset_id = l.asset_id
				WHERE l.wanted > l.done AND l.gone AND p.target = $1 AND p.applied_state = 'present' AND p.desired_present),
			(SELECT coalesce(sum(count), 0) FROM damsync.removal WHERE target = $1 AND NOT approved AND at > clock_timestamp() - $2::interval),
			(SELECT count(*) FROM damsync.placement WHERE target = $1 AND applied_state = 'present')`, target, RecentWindow).
		Scan(&w.Suspects, &w.Recent, &w.Present)
	return w, err
}

func openGate(ctx context.Context, tx pgx.Tx, target, from string, approved bool) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE damsync.placement SET gate = 'open', next_attempt_at = clock_timestamp()
		WHERE target = $1 AND gate = $2`, target, from)
	if err != nil {
		return 0, fmt.Errorf("open gate: %w", err)
	}
	opened := tag.RowsAffected()
	if opened == 0 {
		return 0, nil
	}
	if _, err := tx.Exec(ctx, `INSERT INTO damsync.removal (target, count, approved, at) VALUES ($1, $2, $3, clock_timestamp())`, target, opened, approved); err != nil {
		return 0, fmt.Errorf("record removals: %w", err)
	}
	return opened, notify(ctx, tx, state.TopicPlacement)
}

// Approve lets the held removals of target through and returns how many. Removals that come
// later are judged anew.
func (s *Store) Approve(ctx context.Context, target string) (int64, error) {
	var n int64
	err := s.inTx(ctx, "approve removals at "+target, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('damsync gate ' || $1, 0))`, target); err != nil {
			return fmt.Errorf("lock gate: %w", err)
		}
		var err error
		n, err = openGate(ctx, tx, target, "held", true)
		return err
	})
	return n, err
}

// Held lists up to limit removals of target that wait for approval.
func (s *Store) Held(ctx context.Context, target string, limit int) ([]state.HeldRemoval, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT p.asset_id, coalesce(a.title, ''), p.applied_path, p.desired_reason
		FROM damsync.placement p LEFT JOIN damsync.asset a ON a.id = p.asset_id
		WHERE p.target = $1 AND p.gate = 'held' ORDER BY p.applied_path LIMIT $2`, target, limit)
	if err != nil {
		return nil, fmt.Errorf("list held removals: %w", err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.HeldRemoval])
	if err != nil {
		return nil, fmt.Errorf("list held removals: %w", err)
	}
	return held, nil
}
