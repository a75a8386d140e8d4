package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"damsync/internal/library"
	"damsync/internal/state"
)

// ApplySummaries writes list rows that were requested at readAt and differ from the mirror, logs what changed, and
// plans the changed assets, all in one transaction. Rows that do not differ cost one index lookup and write nothing.
// A row older than the mirror's is skipped, so calls may come in any order; the call is idempotent. A row that the
// database rejects is reported and does not keep the others out.
func (s *Store) ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, evaluate state.Evaluate) (state.Applied, error) {
	rows, digests := distinct(rows)
	changed, allNew, err := s.differing(ctx, rows, digests)
	if err != nil {
		return state.Applied{}, err
	}
	if len(changed) == 0 {
		return state.Applied{Seen: len(rows)}, nil
	}
	p := summaryPage{obs: obs, readAt: readAt, rows: changed, evaluate: evaluate}
	applied, err := s.writeSummaries(ctx, p, allNew)
	if errors.Is(err, errNotNew) {
		applied, err = s.writeSummaries(ctx, p, false)
	}
	if isRejected(err) && len(changed) > 1 {
		applied, err = s.writeSingly(ctx, p)
	} else if isRejected(err) {
		applied = state.Applied{Failed: []state.RowError{{AssetID: changed[0].ID, Err: err}}}
		err = nil
	}
	applied.Seen = len(rows)
	return applied, err
}

// summaryPage is rows to be written together, requested at readAt by an observation.
type summaryPage struct {
	obs      state.Observation
	readAt   time.Time
	rows     []library.Asset
	evaluate state.Evaluate
}

// errNotNew rolls a write back: another writer has added a row that was new.
var errNotNew = errors.New("another writer was faster")

// writeSummaries writes a page in one transaction, with what follows from it. allNew says that the mirror had none of
// the rows a moment ago, which saves reading what they replace.
func (s *Store) writeSummaries(ctx context.Context, p summaryPage, allNew bool) (state.Applied, error) {
	var applied state.Applied
	write := updateAssets
	if allNew {
		write = insertAssets
	}
	err := s.inPlanningTx(ctx, "write mirror", func(tx pgx.Tx) error {
		applied = state.Applied{}
		written, err := write(ctx, tx, p, &applied)
		if err != nil {
			return err
		}
		applied.Changed = len(written)
		if applied.New > 0 {
			if err := adoptSourceTasks(ctx, tx, idsOf(written)); err != nil {
				return err
			}
		}
		if err := (planning{p.obs, p.evaluate}).plan(ctx, tx, idsOf(written)); err != nil {
			return err
		}
		applied.FolderUnknown, err = folderUnknown(ctx, tx, written)
		return err
	})
	return applied, err
}

// insertAssets writes rows that are new; errNotNew when one is not.
func insertAssets(ctx context.Context, tx pgx.Tx, p summaryPage, applied *state.Applied) ([]library.Asset, error) {
	err := copyAssets(ctx, tx, p.obs, p.readAt, p.rows)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" { // unique_violation
		err = errNotNew
	}
	applied.New = len(p.rows)
	return p.rows, err
}

// updateAssets writes the rows that are newer than the mirror's and differ from them, logs what they replace, and
// returns them.
func updateAssets(ctx context.Context, tx pgx.Tx, p summaryPage, applied *state.Applied) ([]library.Asset, error) {
	old, err := lockAssets(ctx, tx, p.rows)
	if err != nil {
		return nil, err
	}
	var fresh []library.Asset
	var log changeLog
	for _, a := range p.rows {
		before, known := old[a.ID]
		switch {
		case !known:
			applied.New++
		case before.readAt.After(p.readAt), before.equals(a.Hash):
			continue
		default:
			if before.removed {
				applied.Restored++
			}
			log.summary(before, a)
		}
		fresh = append(fresh, a)
	}
	if err := upsertAssets(ctx, tx, p.obs, p.readAt, fresh); err != nil {
		return nil, err
	}
	return fresh, log.write(ctx, tx, p.obs)
}

// writeSingly finds the rows that the database rejects and writes the others.
func (s *Store) writeSingly(ctx context.Context, p summaryPage) (state.Applied, error) {
	var sum state.Applied
	rows := p.rows
	for i := range rows {
		p.rows = rows[i : i+1]
		one, err := s.writeSummaries(ctx, p, false)
		if isRejected(err) {
			sum.Failed = append(sum.Failed, state.RowError{AssetID: rows[i].ID, Err: err})
			continue
		}
		if err != nil {
			return sum, err
		}
		sum.Changed += one.Changed
		sum.New += one.New
		sum.Restored += one.Restored
		sum.FolderUnknown = sum.FolderUnknown || one.FolderUnknown
	}
	return sum, nil
}

// storedAsset is a row of the mirror, locked for a write.
type storedAsset struct {
	library.Asset
	readAt  time.Time
	removed bool
}

// equals reports whether the row equals a summary with this digest.
func (a storedAsset) equals(digest library.Hash) bool { return !a.removed && a.Digest() == digest }

// lockAssets locks the rows in the order of their ids, so that two writers do not deadlock.
func lockAssets(ctx context.Context, tx pgx.Tx, rows []library.Asset) (map[string]storedAsset, error) {
	found, err := tx.Query(ctx, `
		SELECT id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
		       archived, labels, owner_organization_id, self, read_at, removed_at IS NOT NULL
		FROM damsync.asset WHERE id = ANY($1) ORDER BY id FOR UPDATE`, idsOf(rows))
	if err != nil {
		return nil, fmt.Errorf("lock assets: %w", err)
	}
	old := make(map[string]storedAsset, len(rows))
	var a storedAsset
	var labels []library.Label
	_, err = pgx.ForEachRow(found, []any{
		&a.ID, &a.Type, &a.Title, &a.MIMEType, &a.FileExtension, &a.CreatedAt, &a.ModifiedAt, &a.FolderID, &a.FileLocation,
		&a.Archived, &labels, &a.OwnerOrganizationID, &a.Self, &a.readAt, &a.removed,
	}, func() error {
		a.Labels, labels = labels, nil
		old[a.ID] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock assets: %w", err)
	}
	return old, nil
}
