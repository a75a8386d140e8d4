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

// Snapshots returns what the mirror knows of ids, and the database's time.
func (s *Store) Snapshots(ctx context.Context, ids []string) (time.Time, []state.Snapshot, error) {
	return loadSnapshots(ctx, s.pool, `a.id = ANY($1)`, ids)
}

const knownColumns = `
	a.id, a.type, a.title, a.mime_type, a.file_extension, a.created_at, a.modified_at, a.folder_id, a.file_location,
	a.archived, a.labels, a.owner_organization_id, a.self, a.source_task, a.removed_at IS NOT NULL,
	coalesce(f.path, a.file_location),
	d.asset_id IS NOT NULL, coalesce(d.description, ''), coalesce(d.alt_text, ''), coalesce(d.attribution, ''), d.tags,
	d.expires_at, coalesce(d.public, false), coalesce(d.width, 0), coalesce(d.height, 0), coalesce(d.size, 0),
	coalesce(d.version_number, 0), coalesce(d.version_id, ''), coalesce(d.owner_id, ''),
	x.asset_id IS NOT NULL, x.values, clock_timestamp()`

// knownFrom joins a detail and fields only where they describe the asset as its own row does.
const knownFrom = `
	FROM damsync.asset a
	LEFT JOIN damsync.folder f ON f.id = a.folder_id
	LEFT JOIN damsync.asset_detail d ON d.asset_id = a.id AND d.of_modified_at = a.modified_at
	LEFT JOIN damsync.asset_fields x ON x.asset_id = a.id AND x.of_modified_at = a.modified_at`

// loadSnapshots returns what is known of the assets that where selects, in the order of their ids, and the database's time.
func loadSnapshots(ctx context.Context, q querier, where string, args ...any) (time.Time, []state.Snapshot, error) {
	var now time.Time
	rows, err := q.Query(ctx, `SELECT `+knownColumns+knownFrom+` WHERE `+where+` ORDER BY a.id`, args...)
	if err != nil {
		return now, nil, fmt.Errorf("load assets: %w", err)
	}
	labels := labelCache{}
	known, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (state.Snapshot, error) { return scanSnapshot(row, labels, &now) })
	if err != nil {
		return now, nil, fmt.Errorf("load assets: %w", err)
	}
	if err := loadPlacements(ctx, q, known); err != nil {
		return now, nil, fmt.Errorf("load placements: %w", err)
	}
	return now, known, nil
}

// loadPlacements adds what should be and what is at the targets. A second query takes half the time of an aggregate
// in the first. The two need not agree: what is evaluated without a lock is evaluated again with one before anything
// is written.
func loadPlacements(ctx context.Context, q querier, known []state.Snapshot) error {
	ids := make([]string, len(known))
	byID := make(map[string]*state.Snapshot, len(known))
	for i := range known {
		k := &known[i]
		k.Desired, k.Applied = map[string]state.Desired{}, map[string]state.Object{}
		ids[i], byID[k.Asset.ID] = k.Asset.ID, k
	}
	rows, err := q.Query(ctx, `SELECT asset_id, target, desired_present, desired_path, desired_version, desired_metadata_hash, guard,
		applied_state, applied_path, applied_version, applied_metadata_hash FROM damsync.placement WHERE asset_id = ANY($1)`, ids)
	if err != nil {
		return err
	}
	var (
		id, target       string
		d                state.Desired
		a                state.Object
		desired, applied []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &target, &d.Present, &d.Path, &d.Version, &desired, &d.Guard, &a.State, &a.Path, &a.Version, &applied}, func() error {
		d.MetadataHash, a.MetadataHash = hashFrom(desired), hashFrom(applied)
		byID[id].Desired[target], byID[id].Applied[target] = d, a
		return nil
	})
	return err
}

// labelCache decodes each set of labels once: most assets of a library share a few sets.
type labelCache map[string][]library.Label

func (c labelCache) decode(text []byte) ([]library.Label, error) {
	if labels, known := c[string(text)]; known {
		return labels, nil
	}
	var labels []library.Label
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, fmt.Errorf("decode labels: %w", err)
	}
	c[string(text)] = labels
	return labels, nil
}

func scanSnapshot(row pgx.CollectableRow, cache labelCache, now *time.Time) (state.Snapshot, error) {
	var (
		k                    state.Snapshot
		d                    library.Detail
		hasDetail, hasFields bool
		labels               []byte
		values               []library.FieldValue
	)
	a := &k.Asset
	err := row.Scan(&a.ID, &a.Type, &a.Title, &a.MIMEType, &a.FileExtension, &a.CreatedAt, &a.ModifiedAt, &a.FolderID, &a.FileLocation,
		&a.Archived, &labels, &a.OwnerOrganizationID, &a.Self, &k.SourceTask, &k.Gone, &k.Folder,
		&hasDetail, &d.Description, &d.AltText, &d.Attribution, &d.Tags, &d.ExpiresAt, &d.Public, &d.Width, &d.Height, &d.Size,
		&d.VersionNumber, &d.VersionID, &d.OwnerID, &hasFields, &values, now)
	if err != nil {
		return k, err
	}
	if hasDetail {
		k.Detail = &d
	}
	if hasFields {
		k.Fields = &library.Fields{Values: values}
	}
	a.Labels, err = cache.decode(labels)
	return k, err
}
