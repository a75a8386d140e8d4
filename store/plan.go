package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// referencesLock is held shared by transactions that plan assets, and exclusively by one that changes folders, labels
// or fields. A plan made with the old ones is therefore committed before the epoch rises; after that, the planner may
// already have passed the asset.
const referencesLock = `hashtextextended('damsync references', 0)`

// inPlanningTx is inTx for transactions that plan assets. It takes the lock before any other, so that waiting for it
// blocks no one else.
func (s *Store) inPlanningTx(ctx context.Context, doing string, fn func(pgx.Tx) error) error {
	return s.inTx(ctx, doing, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(`+referencesLock+`)`); err != nil {
			return fmt.Errorf("lock references: %w", err)
		}
		return fn(tx)
	})
}

// planning is how assets are planned: for which observation and by which rules. Placements are as urgent as the requests
// of the observation.
type planning struct {
	obs      state.Observation
	evaluate state.Evaluate
}

// plan evaluates the rules on assets whose rows tx, a planning one, has locked, and writes what follows: placements, and
// lookups for what has to be known first.
func (p planning) plan(ctx context.Context, tx pgx.Tx, ids []string) error {
	if len(ids) == 0 || p.evaluate == nil {
		return nil
	}
	now, known, err := loadSnapshots(ctx, tx, `a.id = ANY($1)`, ids)
	if err != nil {
		return err
	}
	var changes []assetChange
	var shallow []shallowAsset
	var failures decisionFailures
	for _, k := range known {
		v := p.evaluate(now, k)
		for _, c := range v.Changes {
			changes = append(changes, assetChange{asset: k.Asset.ID, Change: c})
		}
		if v.Needs > levelOf(k) {
			shallow = append(shallow, shallowAsset{Snapshot: k, rank: v.Rank})
		}
		failures.add(k.Asset.ID, v.Failed)
	}
	if err := failures.write(ctx, tx, ids); err != nil {
		return err
	}
	if err := writePlacements(ctx, tx, p.obs.Class.Rank(), changes); err != nil {
		return err
	}
	return requestDetails(ctx, tx, p.obs, shallow)
}

// levelOf returns how deep an asset is known. What is known is never requested again.
func levelOf(k state.Snapshot) library.Level {
	switch {
	case k.Fields != nil:
		return library.LevelFields
	case k.Detail != nil:
		return library.LevelDetail
	default:
		return library.LevelSummary
	}
}

// PlanAssets plans ids again. Each asset is locked meanwhile.
func (s *Store) PlanAssets(ctx context.Context, obs state.Observation, ids []string, evaluate state.Evaluate) error {
	return s.inPlanningTx(ctx, "plan assets", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM damsync.asset WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids); err != nil {
			return fmt.Errorf("lock assets: %w", err)
		}
		return (planning{obs, evaluate}).plan(ctx, tx, ids)
	})
}

// PlanNext plans up to limit assets after the given id, in the order of their ids, and returns the last id; empty at
// the end. It evaluates assets without locks. Only those that change are locked and evaluated again, so a pass without
// changes writes nothing.
func (s *Store) PlanNext(ctx context.Context, obs state.Observation, after string, limit int, evaluate state.Evaluate) (string, error) {
	var changing []string
	last, err := s.scan(ctx, after, limit, func(now time.Time, k state.Snapshot) {
		if v := evaluate(now, k); len(v.Changes) > 0 || v.Needs > levelOf(k) || len(v.Failed) > 0 {
			changing = append(changing, k.Asset.ID)
		}
	})
	if err != nil || len(changing) == 0 {
		return last, err
	}
	return last, s.PlanAssets(ctx, obs, changing, evaluate)
}

// Preview calls see with each asset and what evaluate returns for it, in the order of ids, and writes nothing.
func (s *Store) Preview(ctx context.Context, evaluate state.Evaluate, see func(state.Snapshot, state.Decisions) error) error {
	var failed error
	for after := ""; ; {
		last, err := s.scan(ctx, after, 2000, func(now time.Time, k state.Snapshot) {
			if failed == nil {
				failed = see(k, evaluate(now, k))
			}
		})
		if err != nil || failed != nil || last == "" {
			return cmp.Or(err, failed)
		}
		after = last
	}
}

// scan calls visit with up to limit assets after the given id, in the order of their ids, and returns the last id;
// empty at the end.
func (s *Store) scan(ctx context.Context, after string, limit int, visit func(time.Time, state.Snapshot)) (string, error) {
	now, known, err := loadSnapshots(ctx, s.pool, `a.id > $1 AND a.id <= coalesce(
		(SELECT max(id) FROM (SELECT id FROM damsync.asset WHERE id > $1 ORDER BY id LIMIT $2) b), $1)`, after, limit)
	if err != nil {
		return "", err
	}
	last := ""
	for _, k := range known {
		visit(now, k)
		last = k.Asset.ID
	}
	return last, nil
}
