package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// copyAssets writes rows that the mirror does not have. COPY takes two thirds of the time of an INSERT; it fails with
// a unique violation when the mirror has one of the rows.
func copyAssets(ctx context.Context, tx pgx.Tx, obs state.Observation, readAt time.Time, rows []library.Asset) error {
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		a := rows[i]
		labels, err := labelsJSON(a.Labels)
		return []any{
			a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension, a.CreatedAt, a.ModifiedAt, a.FolderID, a.FileLocation,
			a.Archived, labels, a.OwnerOrganizationID, a.Self, cleanJSON(a.Raw), a.Hash[:], readAt, obs.Kind,
		}, err
	})
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"damsync", "asset"}, []string{
		"id", "type", "title", "mime_type", "file_extension", "created_at", "modified_at", "folder_id", "file_location",
		"archived", "labels", "owner_organization_id", "self", "raw", "hash", "read_at", "first_seen_by",
	}, source)
	if err != nil {
		return fmt.Errorf("copy assets: %w", err)
	}
	return nil
}

const upsertAssetSQL = `
INSERT INTO damsync.asset AS a (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id,
	file_location, archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
SELECT id, type, title, mime_type, file_extension, created_at, modified_at, folder_id,
	file_location, archived, labels::jsonb, owner_organization_id, self, raw::jsonb, hash, $16, $17
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[],
	$9::text[], $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[])
	AS u (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id,
	file_location, archived, labels, owner_organization_id, self, raw, hash)
ON CONFLICT (id) DO UPDATE SET
	type = excluded.type, title = excluded.title, mime_type = excluded.mime_type, file_extension = excluded.file_extension,
	created_at = excluded.created_at, modified_at = excluded.modified_at, folder_id = excluded.folder_id,
	file_location = excluded.file_location, archived = excluded.archived, labels = excluded.labels,
	owner_organization_id = excluded.owner_organization_id, self = excluded.self, raw = excluded.raw,
	hash = excluded.hash, read_at = excluded.read_at, removed_at = NULL
WHERE a.read_at <= excluded.read_at`

// upsertAssets writes rows, some of which the mirror may have, in one statement without a temporary table. JSON is sent
// as text: an array of jsonb would be parsed, built and taken apart again, which takes a third longer.
func upsertAssets(ctx context.Context, tx pgx.Tx, obs state.Observation, readAt time.Time, rows []library.Asset) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	var (
		id, typ, title, mime, ext   = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		folder, location, org, self = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		created, modified           = make([]time.Time, n), make([]time.Time, n)
		archived                    = make([]bool, n)
		labels, raw                 = make([]string, n), make([]string, n)
		hash                        = make([][]byte, n)
	)
	for i, a := range rows {
		id[i], typ[i], title[i], mime[i], ext[i] = a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension
		folder[i], location[i], org[i], self[i] = a.FolderID, a.FileLocation, a.OwnerOrganizationID, a.Self
		created[i], modified[i], archived[i] = a.CreatedAt, a.ModifiedAt, a.Archived
		hash[i] = a.Hash[:]
		raw[i] = cleanJSON(a.Raw)
		var err error
		if labels[i], err = labelsJSON(a.Labels); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, upsertAssetSQL, id, typ, title, mime, ext, created, modified, folder, location, archived,
		labels, org, self, raw, hash, readAt, obs.Kind)
	if err != nil {
		return fmt.Errorf("upsert assets: %w", err)
	}
	return nil
}

func labelsJSON(labels []library.Label) (string, error) {
	if len(labels) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(library.SortedLabels(labels))
	if err != nil {
		return "", fmt.Errorf("encode labels: %w", err)
	}
	return string(text), nil
}
