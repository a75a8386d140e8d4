package store

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// changeLog collects rows of the append-only log: which field changed from what to what.
type changeLog struct {
	entity, id, field []string
	old, new          []*string
	err               error
}

func (l *changeLog) add(entity, id, field string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	l.entity, l.id, l.field = append(l.entity, entity), append(l.id, id), append(l.field, field)
	l.old, l.new = append(l.old, l.encode(before)), append(l.new, l.encode(after))
}

func (l *changeLog) encode(value any) *string {
	if value == nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		l.err = fmt.Errorf("encode change: %w", err)
		return nil
	}
	clean := cleanJSON(text)
	return &clean
}

func (l *changeLog) write(ctx context.Context, tx pgx.Tx, obs state.Observation) error {
	if l.err != nil || len(l.id) == 0 {
		return l.err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO damsync.change (entity, entity_id, field, old, new, observation, run_id)
		SELECT entity, id, field, old, new, $6, nullif($7::bigint, 0)
		FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[]) AS u (entity, id, field, old, new)`,
		l.entity, l.id, l.field, l.old, l.new, obs.Kind, obs.RunID)
	if err != nil {
		return fmt.Errorf("write change log: %w", err)
	}
	return nil
}

// summary logs what differs between the stored row and the one that was read.
func (l *changeLog) summary(before storedAsset, after library.Asset) {
	add := func(field string, before, now any) { l.add("asset", after.ID, field, before, now) }
	if before.removed {
		add("restored", nil, after.Title)
	}
	add("type", before.Type, after.Type)
	add("title", before.Title, after.Title)
	add("mime_type", before.MIMEType, after.MIMEType)
	add("file_extension", before.FileExtension, after.FileExtension)
	add("created_at", utc(before.CreatedAt), utc(after.CreatedAt))
	add("modified_at", utc(before.ModifiedAt), utc(after.ModifiedAt))
	add("folder_id", before.FolderID, after.FolderID)
	add("file_location", before.FileLocation, after.FileLocation)
	add("is_archived", before.Archived, after.Archived)
	add("labels", labelNames(before.Labels), labelNames(after.Labels))
	add("owner_organization_id", before.OwnerOrganizationID, after.OwnerOrganizationID)
}

// detail logs what differs between two details; before is nil for the first.
func (l *changeLog) detail(id string, before *library.Detail, after library.Detail) {
	if before == nil {
		return
	}
	add := func(field string, before, now any) { l.add("asset", id, field, before, now) }
	add("description", before.Description, after.Description)
	add("alt_text", before.AltText, after.AltText)
	add("attribution_text", before.Attribution, after.Attribution)
	add("tags", nonNil(before.Tags), nonNil(after.Tags))
	add("expires_at", utcPtr(before.ExpiresAt), utcPtr(after.ExpiresAt))
	add("is_public", before.Public, after.Public)
	add("width", before.Width, after.Width)
	add("height", before.Height, after.Height)
	add("file_size", sizeOrNil(before.Size), sizeOrNil(after.Size))
	add("version_number", before.VersionNumber, after.VersionNumber)
	add("version_id", before.VersionID, after.VersionID)
	add("owner_id", before.OwnerID, after.OwnerID)
}

// fields logs custom fields that differ, one row for each field.
func (l *changeLog) fields(id string, before *library.Fields, after library.Fields) {
	if before == nil {
		return
	}
	old := make(map[string][]string, len(before.Values))
	for _, v := range before.Values {
		old[v.Name] = nonNil(v.Values)
	}
	for _, v := range after.Values {
		var was any // null when the field is new
		if values, known := old[v.Name]; known {
			was = values
		}
		l.add("asset", id, "fields."+v.Name, was, nonNil(v.Values))
		delete(old, v.Name)
	}
	for name, values := range old {
		l.add("asset", id, "fields."+name, values, nil)
	}
}

func labelNames(labels []library.Label) map[string][]string {
	out := make(map[string][]string, len(labels))
	for _, l := range library.SortedLabels(labels) {
		names := []string{}
		for _, v := range l.Values {
			names = append(names, v.Name)
		}
		out[l.Group.Name] = names
	}
	return out
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func utcPtr(t *time.Time) any {
	if t == nil {
		return nil
	}
	return utc(*t)
}

func sizeOrNil(n int64) any {
	if n == library.UnknownSize {
		return nil
	}
	return n
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
