package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// Instance returns the id that marks objects as ours. It never changes.
func (s *Store) Instance(ctx context.Context) (string, error) {
	var id string
	if err := s.pool.QueryRow(ctx, `SELECT id FROM damsync.instance`).Scan(&id); err != nil {
		return "", fmt.Errorf("read instance: %w", err)
	}
	return id, nil
}

// Epoch is the version of what the whole mirror depends on: folders, label
// groups and fields.
func (s *Store) Epoch(ctx context.Context) (int64, error) {
	var epoch int64
	if err := s.pool.QueryRow(ctx, `SELECT epoch FROM damsync.instance`).Scan(&epoch); err != nil {
		return 0, fmt.Errorf("read epoch: %w", err)
	}
	return epoch, nil
}

// TargetPlan says how far target is planned; a new target not at all.
func (s *Store) TargetPlan(ctx context.Context, target string) (state.TargetPlan, error) {
	p := state.TargetPlan{Name: target}
	err := s.pool.QueryRow(ctx, `SELECT fingerprint, epoch, problem FROM damsync.target WHERE name = $1`, target).Scan(&p.Fingerprint, &p.Epoch, &p.Problem)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("read plan state of %s: %w", target, err)
	}
	return p, nil
}

// SetTargetPlanned records that target was planned in full with this rule on this epoch.
func (s *Store) SetTargetPlanned(ctx context.Context, target string, fingerprint []byte, epoch int64) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO damsync.target (name, fingerprint, epoch, planned_at) VALUES ($1, $2, $3, clock_timestamp())
		ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, epoch = excluded.epoch, planned_at = excluded.planned_at`,
		target, fingerprint, epoch)
	if err != nil {
		return fmt.Errorf("record plan of %s: %w", target, err)
	}
	return s.Notify(ctx, state.TopicGate)
}

// SetTargetProblem records why target does not run; empty lets it run.
func (s *Store) SetTargetProblem(ctx context.Context, target, problem string) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO damsync.target AS t (name, problem) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET problem = excluded.problem WHERE t.problem <> excluded.problem`, target, cleanText(problem))
	if err != nil {
		return fmt.Errorf("record problem of %s: %w", target, err)
	}
	return nil
}

// SetTargetLevels records how deep the rules of targets read; levels that are recorded already cost no write.
func (s *Store) SetTargetLevels(ctx context.Context, targets, levels []string) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.target t SET level = u.level FROM unnest($1::text[], $2::text[]) AS u (name, level)
		WHERE t.name = u.name AND t.level <> u.level`, targets, levels)
	if err != nil {
		return fmt.Errorf("record levels of targets: %w", err)
	}
	return nil
}

// PauseTarget lets nobody claim placements of target for a while; the next pause is twice as long, up to
// five minutes, until a placement succeeds. Calls during a pause are of the same trouble. It returns how long.
// least is the shortest pause the target asked for; of more than an hour it gets an hour.
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

// resumeTarget makes the next pause a short one again. A pause that lasts is left: what succeeded
// may have begun before it.
func resumeTarget(ctx context.Context, tx pgx.Tx, target string) error {
	_, err := tx.Exec(ctx, `UPDATE damsync.target SET attempts = 0, paused_until = NULL, pause_reason = ''
		WHERE name = $1 AND attempts > 0 AND (paused_until IS NULL OR paused_until <= clock_timestamp())`, target)
	if err != nil {
		return fmt.Errorf("resume target %s: %w", target, err)
	}
	return nil
}

// HasPlacements reports whether anything of ours is recorded at target.
func (s *Store) HasPlacements(ctx context.Context, target string) (bool, error) {
	var has bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM damsync.placement WHERE target = $1 AND applied_state <> 'absent')`, target).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("look for placements at %s: %w", target, err)
	}
	return has, nil
}

// Notify wakes the replicas.
func (s *Store) Notify(ctx context.Context, topic state.Topic) error {
	if _, err := s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, Channel, string(topic)); err != nil {
		return fmt.Errorf("notify %s: %w", topic, err)
	}
	return nil
}
