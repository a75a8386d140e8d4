package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// TargetPlan returns how far target is planned; the zero plan for a new target.
func (s *Store) TargetPlan(ctx context.Context, target string) (state.TargetPlan, error) {
	p := state.TargetPlan{Name: target}
	err := s.pool.QueryRow(ctx, `SELECT fingerprint, epoch, problem FROM damsync.target WHERE name = $1`, target).Scan(&p.Fingerprint, &p.Epoch, &p.Problem)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("read plan state of %s: %w", target, err)
	}
	return p, nil
}

// SetTargetPlanned records that target was planned in full with this rule at this epoch.
func (s *Store) SetTargetPlanned(ctx context.Context, target string, fingerprint []byte, epoch int64) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO damsync.target (name, fingerprint, epoch, planned_at) VALUES ($1, $2, $3, clock_timestamp())
		ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, epoch = excluded.epoch, planned_at = excluded.planned_at`,
		target, fingerprint, epoch)
	if err != nil {
		return fmt.Errorf("record plan of %s: %w", target, err)
	}
	return s.Notify(ctx, state.TopicGuard)
}

// SetTargetProblem records why target does not run; an empty problem lets it run.
func (s *Store) SetTargetProblem(ctx context.Context, target, problem string) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO damsync.target AS t (name, problem) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET problem = excluded.problem WHERE t.problem <> excluded.problem`, target, cleanText(problem))
	if err != nil {
		return fmt.Errorf("record problem of %s: %w", target, err)
	}
	return nil
}

// SetTargetLevels records how deep the rules of targets read. Levels that are recorded already cost no write.
func (s *Store) SetTargetLevels(ctx context.Context, targets, levels []string) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.target t SET level = u.level FROM unnest($1::text[], $2::text[]) AS u (name, level)
		WHERE t.name = u.name AND t.level <> u.level`, targets, levels)
	if err != nil {
		return fmt.Errorf("record levels of targets: %w", err)
	}
	return nil
}

// PauseTarget stops claims of target's placements for a while and returns for how long. Each pause is twice as long as
// the one before, up to five minutes, until a placement succeeds; a call during a pause does not count as another one.
// least is the shortest pause that the target asked for, at most an hour.
func (s *Store) PauseTarget(ctx context.Context, target, reason string, least time.Duration) (time.Duration, error) {
	var pause time.Duration
	err := s.pool.QueryRow(ctx, `
		INSERT INTO damsync.target AS t (name, attempts, paused_until, pause_reason)
		VALUES ($1, 1, clock_timestamp() + greatest($3::interval, interval '1 second'), $2)
		ON CONFLICT (name) DO UPDATE SET
			attempts = CASE WHEN t.paused_until > clock_timestamp() THEN t.attempts ELSE t.attempts + 1 END,
			paused_until = CASE WHEN t.paused_until > clock_timestamp() THEN greatest(t.paused_until, clock_timestamp() + $3::interval)
				ELSE clock_timestamp() + greatest($3::interval, least(interval '5 minutes', interval '1 second' * power(2, least(t.attempts, 9)))) END,
			pause_reason = excluded.pause_reason
		RETURNING paused_until - clock_timestamp()`, target, cleanText(reason), min(least, maxLease)).Scan(&pause)
	if err != nil {
		return 0, fmt.Errorf("pause target %s: %w", target, err)
	}
	return pause, nil
}

// resumeTarget makes the next pause a short one again. It leaves a pause in force: what succeeded may have begun before.
func resumeTarget(ctx context.Context, tx pgx.Tx, target string) error {
	_, err := tx.Exec(ctx, `UPDATE damsync.target SET attempts = 0, paused_until = NULL, pause_reason = ''
		WHERE name = $1 AND attempts > 0 AND (paused_until IS NULL OR paused_until <= clock_timestamp())`, target)
	if err != nil {
		return fmt.Errorf("resume target %s: %w", target, err)
	}
	return nil
}
