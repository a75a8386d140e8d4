package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// distinct drops rows that occur twice, as they do in pages of a live list, and makes texts storable. It orders the
// rows by id, the order in which all writers insert.
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

// differing returns the rows that differ from the mirror, and whether the mirror has none of them. It compares before
// any INSERT because ON CONFLICT ... WHERE locks and logs a row even when it changes nothing.
func (s *Store) differing(ctx context.Context, rows []library.Asset, digests map[string]library.Hash) (changed []library.Asset, allNew bool, err error) {
	same := make(map[string]bool, len(rows))
	found, err := s.pool.Query(ctx, `SELECT id, hash FROM damsync.asset WHERE id = ANY($1)`, idsOf(rows))
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

func idsOf(rows []library.Asset) []string {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	return ids
}

// FolderPath returns the path of a folder in the mirror; empty when the mirror does not have the folder.
func (s *Store) FolderPath(ctx context.Context, id string) (string, error) {
	var path string
	err := s.pool.QueryRow(ctx, `SELECT coalesce((SELECT path FROM damsync.folder WHERE id = $1), '')`, id).Scan(&path)
	if err != nil {
		return "", fmt.Errorf("read path of folder %s: %w", id, err)
	}
	return path, nil
}

// folderUnknown reports whether a row names a folder that the mirror does not have, or has at another path.
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
		return false, fmt.Errorf("compare folders: %w", err)
	}
	return unknown, nil
}

// CountAssets counts the living assets of the mirror.
func (s *Store) CountAssets(ctx context.Context) (int, error) {
	var n int
	if err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(count), 0)::bigint FROM damsync.asset_hour`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count assets: %w", err)
	}
	return n, nil
}

// Missing returns the ids of living assets of the mirror that a page of the library should have listed: those with
// modified_at in the span that are not in seen and were not read since readAt.
func (s *Store) Missing(ctx context.Context, in state.Span, seen []string, readAt time.Time) ([]string, error) {
	ids, err := columnOf(ctx, s.pool, `
		SELECT id FROM damsync.asset
		WHERE removed_at IS NULL AND modified_at >= $1 AND ($5 OR modified_at > $1) AND modified_at <= coalesce($2::timestamptz, 'infinity')
			AND id <> ALL(coalesce($3::text[], '{}')) AND read_at < $4`, in.Above, orNull(in.UpTo), seen, readAt, in.Inclusive)
	if err != nil {
		return nil, fmt.Errorf("find missing assets: %w", err)
	}
	return ids, nil
}

// Unmirrored returns those of ids that the mirror has never had. Only the library knows whether they exist.
func (s *Store) Unmirrored(ctx context.Context, ids []string) ([]string, error) {
	out, err := columnOf(ctx, s.pool, `SELECT id FROM unnest($1::text[]) AS u (id) WHERE NOT EXISTS (SELECT 1 FROM damsync.asset a WHERE a.id = u.id)`, ids)
	if err != nil {
		return nil, fmt.Errorf("find assets that are not mirrored: %w", err)
	}
	return out, nil
}
