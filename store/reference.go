package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// ApplyReferences makes folders, label groups and field definitions equal to
// what was read, logs what changed and, when anything did, raises the epoch, so
// that every target is planned anew: a folder that is renamed changes the paths of
// its assets without touching them. A set that is listed empty is kept as it was, whatever becomes of
// the others, while a living asset refers to any of its kind: an upstream in trouble lists nothing,
// too, and the assets tell the two apart as they are read.
func (s *Store) ApplyReferences(ctx context.Context, obs state.Observation, refs state.References) (state.ReferencesApplied, error) {
	var applied state.ReferencesApplied
	err := s.inTx(ctx, "write folders, labels and fields", func(tx pgx.Tx) error {
		applied = state.ReferencesApplied{}
		// One writer at a time, so that two replicas do not interleave.
		if _, err := tx.Exec(ctx, `SELECT 1 FROM damsync.instance FOR UPDATE`); err != nil {
			return err
		}
		log := &changeLog{}
		sets := []refSet{folderSet(refs.Folders), labelSet(refs.LabelGroups)}
		if refs.Fields != nil {
			sets = append(sets, fieldSet(refs.Fields))
		}
		for _, set := range sets {
			kept, err := applySet(ctx, tx, log, set)
			if err != nil {
				return err
			}
			if kept {
				applied.Kept = append(applied.Kept, set.entity+"s")
			}
		}
		applied.Changed = len(log.id) > 0
		if !applied.Changed {
			return nil
		}
		if err := log.write(ctx, tx, obs); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE damsync.instance SET epoch = epoch + 1`); err != nil {
			return err
		}
		// Who judges by the old ones commits first; none of them waits for anything held here.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+referencesLock+`)`); err != nil {
			return fmt.Errorf("wait for who judges assets: %w", err)
		}
		return notify(ctx, tx, state.TopicPlan)
	})
	return applied, err
}

// refSet is one kind of reference as rows of plain columns.
type refSet struct {
	entity string
	list   string // SELECT id and the row as jsonb, raw left out
	upsert string // $1 jsonb of the row, $2 raw
	remove string // $1 ids to remove
	used   string // SELECT whether a living asset refers to any of its kind
	rows   map[string]refRow
}

type refRow struct {
	value any
	raw   json.RawMessage
}

// applySet makes one set equal to what was read, unless that is nothing and assets say otherwise: then
// it is kept.
func applySet(ctx context.Context, tx pgx.Tx, log *changeLog, set refSet) (kept bool, err error) {
	old, err := storedRefs(ctx, tx, set)
	if err != nil {
		return false, err
	}
	if len(set.rows) == 0 && len(old) > 0 {
		if err := tx.QueryRow(ctx, set.used).Scan(&kept); err != nil {
			return false, fmt.Errorf("look for assets that refer to %ss: %w", set.entity, err)
		}
		if kept {
			return true, nil
		}
	}
	for id, row := range set.rows {
		if err := applyRef(ctx, tx, log, set, id, row, old[id]); err != nil {
			return false, err
		}
		delete(old, id)
	}
	return false, removeRefs(ctx, tx, log, set, old)
}

func storedRefs(ctx context.Context, tx pgx.Tx, set refSet) (map[string]map[string]any, error) {
	found, err := tx.Query(ctx, set.list)
	if err != nil {
		return nil, fmt.Errorf("list %ss: %w", set.entity, err)
	}
	stored := map[string]map[string]any{}
	var id string
	var value map[string]any
	if _, err := pgx.ForEachRow(found, []any{&id, &value}, func() error {
		stored[id], value = value, nil
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list %ss: %w", set.entity, err)
	}
	return stored, nil
}

func removeRefs(ctx context.Context, tx pgx.Tx, log *changeLog, set refSet, gone map[string]map[string]any) error {
	if len(gone) == 0 {
		return nil
	}
	for id, value := range gone {
		log.add(set.entity, id, "removed", value, nil)
	}
	if _, err := tx.Exec(ctx, set.remove, slices.Collect(maps.Keys(gone))); err != nil {
		return fmt.Errorf("remove %ss: %w", set.entity, err)
	}
	return nil
}

func applyRef(ctx context.Context, tx pgx.Tx, log *changeLog, set refSet, id string, row refRow, old map[string]any) error {
	text, err := json.Marshal(row.value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", set.entity, err)
	}
	clean := cleanJSON(text)
	var value map[string]any
	if err := json.Unmarshal([]byte(clean), &value); err != nil {
		return fmt.Errorf("encode %s: %w", set.entity, err)
	}
	before := len(log.id)
	switch {
	case old == nil:
		log.add(set.entity, id, "added", nil, value)
	default:
		for field := range value {
			log.add(set.entity, id, field, old[field], value[field])
		}
	}
	if len(log.id) == before {
		return nil
	}
	if _, err := tx.Exec(ctx, set.upsert, clean, cleanJSON(row.raw)); err != nil {
		return fmt.Errorf("write %s %s: %w", set.entity, id, err)
	}
	return nil
}

func folderSet(folders []library.Folder) refSet {
	set := refSet{
		entity: "folder",
		// modified_at is left out of the comparison: it moves with every asset added in some libraries.
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

// folderRaw sees to it that the times the table keeps are in the raw row.
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

// named returns values in the order of their ids: the CMP promises no order, and
// another order is no change.
func named(values []library.Named) []library.Named {
	out := append([]library.Named{}, values...)
	slices.SortStableFunc(out, func(a, b library.Named) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Names reads the folders, labels and fields the mirror has, for checking what
// rules refer to.
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
