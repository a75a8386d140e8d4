package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// ApplyReferences replaces folders, label groups and field definitions by what was read and logs what changed. When
// anything did, it raises the epoch, so that every target is planned again: renaming a folder changes the paths of its
// assets without touching them. A set that was listed empty is kept, independently of the others, while a living asset
// refers to any of its kind, since a failing upstream also lists nothing.
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
		// Transactions that plan with the old references commit first; none of them waits for a lock held here.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+referencesLock+`)`); err != nil {
			return fmt.Errorf("lock references: %w", err)
		}
		return notify(ctx, tx, state.TopicPlan)
	})
	return applied, err
}

// refSet is one kind of reference as rows of plain columns, with the statements that read and write it.
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

// applySet replaces one set by what was read. It keeps the set when nothing was read and assets refer to its kind.
func applySet(ctx context.Context, tx pgx.Tx, log *changeLog, set refSet) (kept bool, err error) {
	old, err := storedRefs(ctx, tx, set)
	if err != nil {
		return false, err
	}
	if len(set.rows) == 0 && len(old) > 0 {
		if err := tx.QueryRow(ctx, set.used).Scan(&kept); err != nil {
			return false, fmt.Errorf("find assets that refer to %ss: %w", set.entity, err)
		}
		if kept {
			return true, nil
		}
	}
	for id, row := range set.rows {
		clean, err := set.diff(log, id, row, old[id])
		if err != nil {
			return false, err
		}
		if clean != "" {
			if _, err := tx.Exec(ctx, set.upsert, clean, cleanJSON(row.raw)); err != nil {
				return false, fmt.Errorf("write %s %s: %w", set.entity, id, err)
			}
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

// diff logs how a row differs from the stored one, old, and returns the row as JSON; empty when nothing differs.
func (set refSet) diff(log *changeLog, id string, row refRow, old map[string]any) (string, error) {
	text, err := json.Marshal(row.value)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", set.entity, err)
	}
	clean := cleanJSON(text)
	var value map[string]any
	if err := json.Unmarshal([]byte(clean), &value); err != nil {
		return "", fmt.Errorf("encode %s: %w", set.entity, err)
	}
	before := len(log.id)
	if old == nil {
		log.add(set.entity, id, "added", nil, value)
	} else {
		for field := range value {
			log.add(set.entity, id, field, old[field], value[field])
		}
	}
	if len(log.id) == before {
		return "", nil
	}
	return clean, nil
}
