package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"damsync/internal/library"
	"damsync/internal/state"
)

// Now returns the database's time, the clock that readings are ordered by.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read database time: %w", err)
	}
	return now, nil
}

// ApplySummaries writes list rows that were asked for at readAt and differ from
// the mirror, logs what changed, and plans the changed assets, all in one
// transaction. Rows that do not differ cost one index lookup and write
// nothing. A row older than what the mirror holds is passed over, so the order
// of calls does not matter; the call is idempotent. A row that the database
// refuses is reported and does not keep the others out.
func (s *Store) ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, decide state.Decide) (state.Applied, error) {
	rows, digests := distinct(rows)
	changed, allNew, err := s.differing(ctx, rows, digests)
	if err != nil {
		return state.Applied{}, err
	}
	if len(changed) == 0 {
		return state.Applied{Seen: len(rows)}, nil
	}
	applied, err := s.writeSummaries(ctx, obs, readAt, changed, allNew, decide)
	if errors.Is(err, errOvertaken) {
		applied, err = s.writeSummaries(ctx, obs, readAt, changed, false, decide)
	}
	if isRefused(err) && len(changed) > 1 {
		applied, err = s.writeSingly(ctx, obs, readAt, changed, decide)
	} else if isRefused(err) {
		applied = state.Applied{Failed: []state.RowError{{AssetID: changed[0].ID, Err: err}}}
		err = nil
	}
	applied.Seen = len(rows)
	return applied, err
}

// distinct drops rows that come twice, as they do in pages of a live list, and
// makes texts storable. The rows are in the order of their ids, in which all
// writers insert.
func distinct(rows []library.Asset) ([]library.Asset, map[string]library.Hash) {
	digests := make(map[string]library.Hash, len(rows))
	out := make([]library.Asset, 0, len(rows))
	for _, a := range rows {
		a = cleanAsset(a)
		if _, twice := digests[a.ID]; twice {
			continue
		}
		digests[a.ID] = a.Digest()
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b library.Asset) int { return strings.Compare(a.ID, b.ID) })
	return out, digests
}

// differing compares before any INSERT: ON CONFLICT ... WHERE locks and logs a
// row even when it changes nothing. allNew says that the mirror knows none of
// those that differ.
func (s *Store) differing(ctx context.Context, rows []library.Asset, digests map[string]library.Hash) (changed []library.Asset, allNew bool, err error) {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	same := make(map[string]bool, len(rows))
	found, err := s.pool.Query(ctx, `SELECT id, hash FROM damsync.asset WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, false, fmt.Errorf("compare page with mirror: %w", err)
	}
	var id string
	var hash []byte
	if _, err := pgx.ForEachRow(found, []any{&id, &hash}, func() error {
		digest := digests[id]
		same[id] = string(hash) == string(digest[:])
		return nil
	}); err != nil {
		return nil, false, fmt.Errorf("compare page with mirror: %w", err)
	}
	allNew = true
	for _, a := range rows {
		if unchanged, known := same[a.ID]; !unchanged {
			a.Hash = digests[a.ID]
			changed = append(changed, a)
			allNew = allNew && !known
		}
	}
	return changed, allNew, nil
}

// Differing returns the rows that ApplySummaries would write, and writes nothing.
func (s *Store) Differing(ctx context.Context, rows []library.Asset) ([]library.Asset, error) {
	rows, digests := distinct(rows)
	changed, _, err := s.differing(ctx, rows, digests)
	return changed, err
}

// FolderPath returns the path of a folder as the mirror has it; empty when it
// does not know the folder.
func (s *Store) FolderPath(ctx context.Context, id string) (string, error) {
	var path string
	err := s.pool.QueryRow(ctx, `SELECT coalesce((SELECT path FROM damsync.folder WHERE id = $1), '')`, id).Scan(&path)
	if err != nil {
		return "", fmt.Errorf("read path of folder %s: %w", id, err)
	}
	return path, nil
}

// errOvertaken rolls a write back: a row that was new has come from another
// writer meanwhile.
var errOvertaken = errors.New("another writer was faster")

// writeSummaries writes rows in one transaction, with what follows from them.
// allNew says that the mirror knew none of them a moment ago, which saves looking
// for what they replace.
func (s *Store) writeSummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, allNew bool, decide state.Decide) (state.Applied, error) {
	var applied state.Applied
	write := updateAssets
	if allNew {
		write = insertAssets
	}
	err := s.inPlanningTx(ctx, "write mirror", func(tx pgx.Tx) error {
		applied = state.Applied{}
		written, err := write(ctx, tx, obs, readAt, rows, &applied)
		if err != nil {
			return err
		}
		applied.Changed = len(written)
		if applied.New > 0 {
			if err := adoptSourceTasks(ctx, tx, idsOf(written)); err != nil {
				return err
			}
		}
		if err := s.planAssets(ctx, tx, obs, idsOf(written), decide); err != nil {
			return err
		}
		applied.FolderUnknown, err = folderUnknown(ctx, tx, written)
		return err
	})
	return applied, err
}

// insertAssets writes rows that are new; errOvertaken when one is not.
func insertAssets(ctx context.Context, tx pgx.Tx, obs state.Observation, readAt time.Time, rows []library.Asset, applied *state.Applied) ([]library.Asset, error) {
	err := copyAssets(ctx, tx, obs, readAt, rows)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" { // unique_violation
		err = errOvertaken
	}
	applied.New = len(rows)
	return rows, err
}

// updateAssets writes the rows that are newer than what there is and say
// something else, logs what they replace, and returns them.
func updateAssets(ctx context.Context, tx pgx.Tx, obs state.Observation, readAt time.Time, rows []library.Asset, applied *state.Applied) ([]library.Asset, error) {
	old, err := lockAssets(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	var fresh []library.Asset
	var log changeLog
	for _, a := range rows {
		before, known := old[a.ID]
		switch {
		case !known:
			applied.New++
		case before.readAt.After(readAt), before.is(a.Hash):
			continue
		default:
			if before.removed {
				applied.Restored++
			}
			log.summary(before, a)
		}
		fresh = append(fresh, a)
	}
	if err := upsertAssets(ctx, tx, obs, readAt, fresh); err != nil {
		return nil, err
	}
	return fresh, log.write(ctx, tx, obs)
}

// writeSingly finds the row that the database refuses and keeps the others.
func (s *Store) writeSingly(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, decide state.Decide) (state.Applied, error) {
	var sum state.Applied
	for i := range rows {
		one, err := s.writeSummaries(ctx, obs, readAt, rows[i:i+1], false, decide)
		if isRefused(err) {
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

// isRefused tells bad data (SQLSTATE class 22 and 23, program limits 54) from a
// database in trouble.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	class := pg.Code[:2]
	return class == "22" || class == "23" || class == "54"
}

type storedAsset struct {
	library.Asset
	readAt  time.Time
	removed bool
}

// is tells whether the row says what a summary with this digest says.
func (a storedAsset) is(digest library.Hash) bool { return !a.removed && a.Digest() == digest }

// lockAssets locks the rows in the order of their ids, so that two writers never
// wait for each other in a circle.
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

func idsOf(rows []library.Asset) []string {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	return ids
}

// folderUnknown tells whether a row names a folder that the mirror does not
// have, or has at another path.
func folderUnknown(ctx context.Context, tx pgx.Tx, rows []library.Asset) (bool, error) {
	var folders, locations []string
	for _, a := range rows {
		if a.FolderID != "" {
			folders, locations = append(folders, a.FolderID), append(locations, a.FileLocation)
		}
	}
	if len(folders) == 0 {
		return false, nil
	}
	var unknown bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) AS u (id, location)
		LEFT JOIN damsync.folder f ON f.id = u.id WHERE f.path IS DISTINCT FROM u.location)`, folders, locations).Scan(&unknown)
	if err != nil {
		return false, fmt.Errorf("look for folders: %w", err)
	}
	return unknown, nil
}
