package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// StartRun starts a run of kind, or resumes at its cursor one that its process left unfinished less than resumable ago. An
// older one is failed. It holds the run for lease, at most an hour. ErrRunning: another process executes it.
func (s *Store) StartRun(ctx context.Context, kind, requestedBy string, lease, resumable time.Duration) (state.Run, error) {
	run := state.Run{Kind: kind}
	lease = min(lease, maxLease)
	err := s.inTx(ctx, "start "+kind, func(tx pgx.Tx) error {
		if err := s.failAbandoned(ctx, tx, kind, resumable); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			UPDATE damsync.run SET lease_owner = $2, lease_until = clock_timestamp() + $3::interval
			WHERE kind = $1 AND state = 'running' AND (lease_until IS NULL OR lease_until < clock_timestamp() OR lease_owner = $2)
			RETURNING id, started_at, cursor`, kind, s.id, lease).Scan(&run.ID, &run.StartedAt, &run.Cursor)
		if err == nil {
			run.Resumed = true
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		err = tx.QueryRow(ctx, `
			INSERT INTO damsync.run (kind, requested_by, lease_owner, lease_until) VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
			ON CONFLICT (kind) WHERE state = 'running' DO NOTHING RETURNING id, started_at, cursor`, kind, requestedBy, s.id, lease).
			Scan(&run.ID, &run.StartedAt, &run.Cursor)
		if errors.Is(err, pgx.ErrNoRows) {
			return state.ErrRunning
		}
		return err
	})
	return run, err
}

// failAbandoned fails the unfinished run of kind when no other process has its lease and it began longer than resumable
// ago.
func (s *Store) failAbandoned(ctx context.Context, tx pgx.Tx, kind string, resumable time.Duration) error {
	var id int64
	err := tx.QueryRow(ctx, `
		UPDATE damsync.run SET state = 'failed', error = 'left unfinished', ended_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL
		WHERE kind = $1 AND state = 'running' AND (lease_until IS NULL OR lease_until < clock_timestamp() OR lease_owner = $2)
			AND started_at <= clock_timestamp() - $3::interval
		RETURNING id`, kind, s.id, resumable).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("fail abandoned run: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM damsync.suspect WHERE run_id = $1`, id); err != nil {
		return fmt.Errorf("clear suspects: %w", err)
	}
	return nil
}

// RecordProgress stores how far the run got, and renews its lease for at most an hour. ErrLeaseLost: another process
// has taken the run over.
func (s *Store) RecordProgress(ctx context.Context, run state.Run, p state.Progress, lease time.Duration) error {
	return s.inTx(ctx, "record progress of "+run.Kind, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE damsync.run SET requests = requests + $3, seen = seen + $4, changed = changed + $5, suspects = suspects + $6,
				cursor = coalesce($7, cursor), lease_until = clock_timestamp() + $8::interval
			WHERE id = $1 AND lease_owner = $2 AND state = 'running'`,
			run.ID, s.id, p.Requests, p.Seen, p.Changed, len(p.Suspects), p.Cursor, min(lease, maxLease))
		if err := oneRow(tag.RowsAffected(), err, "record progress"); err != nil {
			return err
		}
		if len(p.Suspects) == 0 {
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO damsync.suspect (run_id, asset_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`, run.ID, p.Suspects)
		return err
	})
}

// RunTotals returns the totals of a run.
func (s *Store) RunTotals(ctx context.Context, id int64) (state.RunTotals, error) {
	var t state.RunTotals
	err := s.pool.QueryRow(ctx, `SELECT requests, seen, changed, (SELECT count(*) FROM damsync.suspect WHERE run_id = r.id) FROM damsync.run r WHERE id = $1`, id).
		Scan(&t.Requests, &t.Seen, &t.Changed, &t.Suspects)
	if err != nil {
		return t, fmt.Errorf("read run %d: %w", id, err)
	}
	return t, nil
}

// FinishRun completes a run. It requests lookups of the run's suspects, except those that another observation saw since
// the run started, and returns their number.
func (s *Store) FinishRun(ctx context.Context, run state.Run, class grant.Class) (int, error) {
	n := 0
	err := s.inTx(ctx, "finish "+run.Kind, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT a.id, a.type, a.self FROM damsync.suspect s JOIN damsync.asset a ON a.id = s.asset_id
			WHERE s.run_id = $1 AND a.removed_at IS NULL AND a.read_at < $2`, run.ID, run.StartedAt)
		if err != nil {
			return err
		}
		refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.Ref])
		if err != nil {
			return err
		}
		n = len(refs)
		r := lookupRequest{obs: state.Observation{Kind: run.Kind, RunID: run.ID, Class: class}, class: class, gone: true}
		if err := r.send(ctx, tx, refs); err != nil {
			return err
		}
		return s.endRun(ctx, tx, run, "done", "")
	})
	return n, err
}

// FailRun ends a run that cannot continue. Nothing is inferred from what it saw.
func (s *Store) FailRun(ctx context.Context, run state.Run, reason string) error {
	return s.inTx(ctx, "fail "+run.Kind, func(tx pgx.Tx) error { return s.endRun(ctx, tx, run, "failed", reason) })
}

func (s *Store) endRun(ctx context.Context, tx pgx.Tx, run state.Run, as, reason string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM damsync.suspect WHERE run_id = $1`, run.ID); err != nil {
		return fmt.Errorf("clear suspects: %w", err)
	}
	tag, err := tx.Exec(ctx, `UPDATE damsync.run SET state = $3, error = $4, ended_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL
		WHERE id = $1 AND lease_owner = $2 AND state = 'running'`, run.ID, s.id, as, cleanText(reason))
	return oneRow(tag.RowsAffected(), err, "end run")
}

// LeaveRun gives up the lease of a run, as at a shutdown or while the quota defers, so that another process may resume
// it at its cursor.
func (s *Store) LeaveRun(ctx context.Context, run state.Run) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.run SET lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2`, run.ID, s.id)
	if err != nil {
		return fmt.Errorf("leave run %d: %w", run.ID, err)
	}
	return nil
}

// HasRunning reports whether a run of kind is unfinished, whether or not a process executes it.
func (s *Store) HasRunning(ctx context.Context, kind string) (bool, error) {
	var has bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM damsync.run WHERE kind = $1 AND state = 'running')`, kind).Scan(&has); err != nil {
		return false, fmt.Errorf("find an unfinished %s: %w", kind, err)
	}
	return has, nil
}
