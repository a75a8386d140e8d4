package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// Observation returns what one kind of observation last did.
func (s *Store) Observation(ctx context.Context, kind string) (state.ObservationState, error) {
	var o state.ObservationState
	var attempt, success *time.Time
	err := s.pool.QueryRow(ctx, `SELECT cursor, last_attempt, last_success FROM damsync.observation WHERE kind = $1`, kind).Scan(&o.Cursor, &attempt, &success)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return o, fmt.Errorf("read observation %s: %w", kind, err)
	}
	if attempt != nil {
		o.LastAttempt = *attempt
	}
	if success != nil {
		o.LastSuccess = *success
	}
	return o, nil
}

// BeginObservation records an attempt.
func (s *Store) BeginObservation(ctx context.Context, kind string) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO damsync.observation (kind, last_attempt) VALUES ($1, clock_timestamp())
		ON CONFLICT (kind) DO UPDATE SET last_attempt = excluded.last_attempt`, kind)
	if err != nil {
		return fmt.Errorf("begin observation %s: %w", kind, err)
	}
	return nil
}

// EndObservation records a success with its cursor (nil keeps the current one), or the reason of a failure.
func (s *Store) EndObservation(ctx context.Context, kind string, cursor json.RawMessage, failure string) error {
	_, err := s.pool.Exec(ctx, `
		UPDATE damsync.observation SET error = $3,
			last_success = CASE WHEN $3 = '' THEN clock_timestamp() ELSE last_success END,
			cursor = CASE WHEN $3 = '' THEN coalesce($2, cursor) ELSE cursor END
		WHERE kind = $1`, kind, cursor, cleanText(failure))
	if err != nil {
		return fmt.Errorf("end observation %s: %w", kind, err)
	}
	return nil
}
