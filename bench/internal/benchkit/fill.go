package benchkit

import (
	"context"
	"encoding/json"
	"fmt"

	"damsync/internal/library"

	"github.com/jackc/pgx/v5"
)

const detailsSQL = `
	INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, expires_at, public, width, height, size,
		version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, grace_over)
	SELECT id, '', 'alt text of ' || id, '', '{}', NULL, false, 1, 1, 7, 1, '', '', '{}', hash, read_at, modified_at, true FROM damsync.asset`

// FillMirror creates n assets of typical row size, with details, in sync at each target.
func (d *Database) FillMirror(ctx context.Context, n int, targets ...string) error {
	if err := d.Exec(ctx, `
		INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
			archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
		SELECT md5(i::text), 'image', 'Title of ' || i, 'image/png', 'png', now() - i * interval '1 minute', now() - i * interval '1 minute', '', '/Brand/' || i % 500,
			false, '[{"group": {"id": "g1", "name": "Status"}, "values": [{"id": "v1", "name": "Approved"}]}]', 'org', 'https://cmp.test/images/' || md5(i::text),
			jsonb_build_object('links', md5(i::text) || md5(i || 'a') || md5(i || 'b') || md5(i || 'c') || md5(i || 'd') || md5(i || 'e')
				|| md5(i || 'f') || md5(i || 'g') || md5(i || 'h') || md5(i || 'i') || md5(i || 'j') || md5(i || 'k')), sha256(i::text::bytea), now(), 'sweep'
		FROM generate_series(1, $1::int) i`, n); err != nil {
		return err
	}
	if err := d.FillDetails(ctx); err != nil {
		return err
	}
	if err := d.Exec(ctx, `
		INSERT INTO damsync.placement (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
			desired_metadata_hash, desired_generation, desired_reason, desired_at, urgency, guard, applied_state, applied_path, applied_version,
			applied_metadata_hash, applied_generation, next_attempt_at, size)
		SELECT target, id, true, '/' || id, '1', jsonb_build_object('title', title), hash, 1, '', now(), 5, 'open', 'present', '/' || id, '1', hash, 1, now(), 7
		FROM damsync.asset, unnest($1::text[]) AS target`, targets); err != nil {
		return err
	}
	return d.Exec(ctx, `VACUUM ANALYZE`)
}

// FillDetails creates the detail of every asset, as read with its summary.
func (d *Database) FillDetails(ctx context.Context) error { return d.Exec(ctx, detailsSQL) }

// AssetColumns lists the columns of damsync.asset that a summary fills, in the order of AssetValues.
func AssetColumns() []string {
	return []string{
		"id", "type", "title", "mime_type", "file_extension", "created_at", "modified_at", "folder_id", "file_location", "archived",
		"labels", "owner_organization_id", "self", "raw", "hash", "read_at", "first_seen_by",
	}
}

// AssetValues returns the values of a row of damsync.asset, as read when it was last modified.
func AssetValues(a library.Asset) ([]any, error) {
	labels, err := json.Marshal(a.Labels)
	if err != nil {
		return nil, fmt.Errorf("encode labels: %w", err)
	}
	hash := a.Digest()
	return []any{
		a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension, a.CreatedAt, a.ModifiedAt, a.FolderID, a.FileLocation, a.Archived,
		string(labels), a.OwnerOrganizationID, a.Self, string(a.Raw), hash[:], a.ModifiedAt, "sweep",
	}, nil
}

// CopyAssets writes summaries to a table shaped like damsync.asset with COPY.
func (d *Database) CopyAssets(ctx context.Context, table pgx.Identifier, rows []library.Asset) error {
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return AssetValues(rows[i]) })
	if _, err := d.Pool.CopyFrom(ctx, table, AssetColumns(), source); err != nil {
		return fmt.Errorf("copy assets: %w", err)
	}
	return nil
}
