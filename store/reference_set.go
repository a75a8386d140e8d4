package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

func folderSet(folders []library.Folder) refSet {
	set := refSet{
		entity: "folder",
		// The comparison leaves out modified_at, which some libraries move with every asset added.
		list: `SELECT id, jsonb_build_object('id', id, 'parent_id', parent_id, 'name', name, 'path', path) FROM damsync.folder`,
		upsert: `INSERT INTO damsync.folder (id, parent_id, name, path, created_at, modified_at, raw)
			SELECT $1::jsonb ->> 'id', $1::jsonb ->> 'parent_id', $1::jsonb ->> 'name', $1::jsonb ->> 'path',
				coalesce(($2::jsonb ->> 'created_at')::timestamptz, 'epoch'), coalesce(($2::jsonb ->> 'modified_at')::timestamptz, 'epoch'), $2::jsonb
			ON CONFLICT (id) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name, path = excluded.path,
				modified_at = excluded.modified_at, raw = excluded.raw`,
		remove: `DELETE FROM damsync.folder WHERE id = ANY($1)`,
		used:   `SELECT EXISTS (SELECT FROM damsync.asset WHERE removed_at IS NULL AND folder_id <> '')`,
		rows:   map[string]refRow{},
	}
	for _, f := range folders {
		id := cleanText(f.ID)
		set.rows[id] = refRow{raw: folderRaw(f), value: map[string]any{"id": id, "parent_id": f.ParentID, "name": f.Name, "path": f.Path}}
	}
	return set
}

// folderRaw returns the raw row with the times that the table keeps.
func folderRaw(f library.Folder) json.RawMessage {
	var raw map[string]any
	if json.Unmarshal(f.Raw, &raw) != nil || raw == nil {
		raw = map[string]any{}
	}
	raw["created_at"], raw["modified_at"] = f.CreatedAt.Format(time.RFC3339Nano), f.ModifiedAt.Format(time.RFC3339Nano)
	text, err := json.Marshal(raw)
	if err != nil {
		return nil
	}
	return text
}

func labelSet(groups []library.LabelGroup) refSet {
	set := refSet{
		entity: "label_group",
		list:   `SELECT id, jsonb_build_object('id', id, 'name', name, 'values', values) FROM damsync.label_group`,
		upsert: `INSERT INTO damsync.label_group (id, name, values, raw)
			SELECT $1::jsonb ->> 'id', $1::jsonb ->> 'name', $1::jsonb -> 'values', $2::jsonb
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, values = excluded.values, raw = excluded.raw`,
		remove: `DELETE FROM damsync.label_group WHERE id = ANY($1)`,
		used:   `SELECT EXISTS (SELECT FROM damsync.asset WHERE removed_at IS NULL AND labels <> '[]')`,
		rows:   map[string]refRow{},
	}
	for _, g := range groups {
		id := cleanText(g.ID)
		set.rows[id] = refRow{raw: g.Raw, value: map[string]any{"id": id, "name": g.Name, "values": named(g.Values)}}
	}
	return set
}

func fieldSet(fields []library.FieldDefinition) refSet {
	set := refSet{
		entity: "field_definition",
		list: `SELECT id, jsonb_build_object('id', id, 'name', name, 'type', type, 'active', active, 'choices', choices)
			FROM damsync.field_definition`,
		upsert: `INSERT INTO damsync.field_definition (id, name, type, active, choices, raw)
			SELECT $1::jsonb ->> 'id', $1::jsonb ->> 'name', $1::jsonb ->> 'type', ($1::jsonb ->> 'active')::boolean, $1::jsonb -> 'choices', $2::jsonb
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, active = excluded.active,
				choices = excluded.choices, raw = excluded.raw`,
		remove: `DELETE FROM damsync.field_definition WHERE id = ANY($1)`,
		used: `SELECT EXISTS (SELECT FROM damsync.asset_fields f JOIN damsync.asset a ON a.id = f.asset_id
			WHERE a.removed_at IS NULL AND f.values NOT IN ('null', '[]'))`,
		rows: map[string]refRow{},
	}
	for _, f := range fields {
		id := cleanText(f.ID)
		set.rows[id] = refRow{raw: f.Raw, value: map[string]any{
			"id": id, "name": f.Name, "type": f.Type, "active": f.Active, "choices": named(f.Choices),
		}}
	}
	return set
}

// named returns values in the order of their ids: the CMP promises no order, and a different order is not a change.
func named(values []library.Named) []library.Named {
	out := append([]library.Named{}, values...)
	slices.SortStableFunc(out, func(a, b library.Named) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Names returns the names of the folders, labels and fields of the mirror, which rules may refer to.
func (s *Store) Names(ctx context.Context) (state.Names, error) {
	n := state.Names{
		Folders: map[string]bool{}, Labels: map[string]map[string]bool{}, Fields: map[string]bool{}, LabelNames: map[string]string{},
	}
	rows, err := s.pool.Query(ctx, `
		SELECT 'folder', path, '', '', '' FROM damsync.folder
		UNION ALL SELECT 'label', g.name, coalesce(v ->> 'name', ''), g.id, coalesce(v ->> 'id', '') FROM damsync.label_group g
			LEFT JOIN LATERAL jsonb_array_elements(g.values) v ON true
		UNION ALL SELECT 'field', name, '', '', '' FROM damsync.field_definition`)
	if err != nil {
		return n, fmt.Errorf("read names: %w", err)
	}
	var kind, name, value, id, valueID string
	_, err = pgx.ForEachRow(rows, []any{&kind, &name, &value, &id, &valueID}, func() error {
		switch kind {
		case "folder":
			n.Folders[name] = true
		case "field":
			n.Fields[name] = true
		default:
			if n.Labels[name] == nil {
				n.Labels[name] = map[string]bool{}
			}
			n.Labels[name][value] = true
			n.LabelNames[id] = name
			if valueID != "" {
				n.LabelNames[valueID] = value
			}
		}
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("read names: %w", err)
	}
	return n, nil
}
