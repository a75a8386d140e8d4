package main

import (
	"context"
	"fmt"
)

// fillMirror makes n assets with their details that are in sync at each target, with rows of the
// usual size.
func fillMirror(ctx context.Context, d *database, n int, targets ...string) error {
	for _, step := range []struct {
		doing, sql string
		args       []any
	}{
		{"assets", `
			INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
				archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
			SELECT md5(i::text), 'image', 'Title of ' || i, 'image/png', 'png', now() - i * interval '1 minute', now() - i * interval '1 minute', '', '/Brand/' || i % 500,
				false, '[{"group": {"id": "g1", "name": "Status"}, "values": [{"id": "v1", "name": "Approved"}]}]', 'org', 'https://cmp.test/images/' || md5(i::text),
				jsonb_build_object('links', md5(i::text) || md5(i || 'a') || md5(i || 'b') || md5(i || 'c') || md5(i || 'd') || md5(i || 'e')
					|| md5(i || 'f') || md5(i || 'g') || md5(i || 'h') || md5(i || 'i') || md5(i || 'j') || md5(i || 'k')), sha256(i::text::bytea), now(), 'sweep'
			FROM generate_series(1, $1::int) i`, []any{n}},
		{"details", `
			INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, expires_at, public, width, height, size,
				version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, settled)
			SELECT id, '', 'alt text of ' || id, '', '{}', NULL, false, 1, 1, 7, 1, '', '', '{}', hash, read_at, modified_at, true FROM damsync.asset`, nil},
		{"placements", `
			INSERT INTO damsync.placement (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
				desired_metadata_hash, desired_generation, desired_reason, desired_at, urgency, gate, applied_state, applied_path, applied_version,
				applied_metadata_hash, applied_generation, next_attempt_at, size)
			SELECT target, id, true, '/' || id, '1', jsonb_build_object('title', title), hash, 1, '', now(), 5, 'open', 'present', '/' || id, '1', hash, 1, now(), 7
			FROM damsync.asset, unnest($1::text[]) AS target`, []any{targets}},
		{"statistics", `VACUUM ANALYZE`, nil},
	} {
		if _, err := d.pool.Exec(ctx, step.sql, step.args...); err != nil {
			return fmt.Errorf("make %s: %w", step.doing, err)
		}
	}
	return nil
}
