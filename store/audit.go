package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// SaveAudit records what the audit of a run found, in place of what was recorded for the run before.
func (s *Store) SaveAudit(ctx context.Context, runID int64, a state.Audit) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO damsync.audit (run_id, scope, windows, missing, extra, hidden, suspects, complete_at, notes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9::text[], '{}'))
		ON CONFLICT (run_id) DO UPDATE SET windows = excluded.windows, missing = excluded.missing, extra = excluded.extra,
			hidden = excluded.hidden, suspects = excluded.suspects, complete_at = excluded.complete_at, notes = excluded.notes`,
		runID, a.Scope, a.Windows, a.Missing, a.Extra, a.Hidden, a.Suspects, orNull(a.CompleteAt), a.Notes)
	if err != nil {
		return fmt.Errorf("save audit %d: %w", runID, err)
	}
	return nil
}

const windowColumns = `nullif(from_at, '-infinity'), nullif(to_at, 'infinity'), counted_at, page, last_id, last_at, cycle_at, read_since`

// AuditWindows lists the windows that audits count in turn, the one whose turn was longest ago first.
func (s *Store) AuditWindows(ctx context.Context) ([]state.AuditWindow, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+windowColumns+` FROM damsync.audit_window ORDER BY counted_at NULLS FIRST, from_at`)
	if err != nil {
		return nil, fmt.Errorf("list audit windows: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanAuditWindow)
	if err != nil {
		return nil, fmt.Errorf("list audit windows: %w", err)
	}
	return list, nil
}

func scanAuditWindow(row pgx.CollectableRow) (state.AuditWindow, error) {
	var w state.AuditWindow
	var from, to, counted, lastAt, cycle, read *time.Time
	err := row.Scan(&from, &to, &counted, &w.Page, &w.LastID, &lastAt, &cycle, &read)
	for _, t := range []struct {
		to   *time.Time
		from *time.Time
	}{{&w.From, from}, {&w.To, to}, {&w.CountedAt, counted}, {&w.LastAt, lastAt}, {&w.CycleAt, cycle}, {&w.ReadSince, read}} {
		if t.from != nil {
			*t.to = t.from.UTC()
		}
	}
	return w, err
}

// ReplaceAuditWindows replaces old windows by others, in one transaction.
func (s *Store) ReplaceAuditWindows(ctx context.Context, old, windows []state.AuditWindow) error {
	return s.inTx(ctx, "replace audit windows", func(tx pgx.Tx) error {
		for _, w := range old {
			if _, err := tx.Exec(ctx, `DELETE FROM damsync.audit_window WHERE from_at = coalesce($1::timestamptz, '-infinity')`, orNull(w.From)); err != nil {
				return err
			}
		}
		for _, w := range windows {
			_, err := tx.Exec(ctx, `
				INSERT INTO damsync.audit_window (from_at, to_at, counted_at, page, last_id, last_at, cycle_at, read_since)
				VALUES (coalesce($1::timestamptz, '-infinity'), coalesce($2::timestamptz, 'infinity'), $3, $4, $5, $6, $7, $8)`,
				orNull(w.From), orNull(w.To), orNull(w.CountedAt), w.Page, w.LastID, orNull(w.LastAt), orNull(w.CycleAt), orNull(w.ReadSince))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
