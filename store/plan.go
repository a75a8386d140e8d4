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
	obs    state.Observation
	decide state.Decide
}

// plan evaluates the rules on assets whose rows tx, a planning one, has locked, and writes what follows: placements, and
// lookups for what has to be known first.
func (p planning) plan(ctx context.Context, tx pgx.Tx, ids []string) error {
	if len(ids) == 0 || p.decide == nil {
		return nil
	}
	now, known, err := loadKnown(ctx, tx, `a.id = ANY($1)`, ids)
	if err != nil {
		return err
	}
	var changes []assetChange
	var shallow []shallowAsset
	var failures decisionFailures
	for _, k := range known {
		v := p.decide(now, k)
		for _, c := range v.Changes {
			changes = append(changes, assetChange{asset: k.Asset.ID, Change: c})
		}
		if v.Needs > levelOf(k) {
			shallow = append(shallow, shallowAsset{Known: k, rank: v.Rank})
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
func levelOf(k state.Known) library.Level {
	switch {
	case k.Fields != nil:
		return library.LevelFields
	case k.Detail != nil:
		return library.LevelDetail
	default:
		return library.LevelSummary
	}
}

type assetChange struct {
	asset string
	state.Change
}

const writePlacementsSQL = `
INSERT INTO damsync.placement AS p (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
	desired_metadata_hash, desired_reason, desired_generation, desired_at, urgency, guard, next_attempt_at, expires_at)
SELECT target, asset_id, present, path, version, metadata, hash, reason, nextval('damsync.generation'), clock_timestamp(), $10, 'open',
	clock_timestamp(), (SELECT d.expires_at FROM damsync.asset_detail d WHERE d.asset_id = u.asset_id)
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::text[], $9::boolean[])
	AS u (target, asset_id, present, path, version, metadata, hash, reason, guarded)
ON CONFLICT (target, asset_id) DO UPDATE SET
	desired_present = excluded.desired_present, desired_path = excluded.desired_path, desired_version = excluded.desired_version,
	desired_metadata = excluded.desired_metadata, desired_metadata_hash = excluded.desired_metadata_hash,
	desired_reason = excluded.desired_reason, desired_generation = excluded.desired_generation,
	desired_at = excluded.desired_at, expires_at = excluded.expires_at,
	urgency = CASE WHEN damsync.is_dirty(p) THEN least(p.urgency, excluded.urgency) ELSE excluded.urgency END,
	guard = CASE WHEN p.applied_state NOT IN ('present', 'incomplete') AND p.intent_generation IS NULL THEN 'open'
		WHEN (p.target, p.asset_id) IN (SELECT u.target, u.asset_id FROM unnest($1::text[], $2::text[], $9::boolean[]) AS u (target, asset_id, guarded) WHERE u.guarded)
		THEN 'waiting' ELSE 'open' END,
	attempts = 0, next_attempt_at = excluded.next_attempt_at, error_class = '', error = ''`

// writePlacements raises the generation of each placement and wakes the pushers. A removal of something that may be
// there waits for the removal guard.
func writePlacements(ctx context.Context, tx pgx.Tx, urgency int, changes []assetChange) error {
	if len(changes) == 0 {
		return nil
	}
	n := len(changes)
	var (
		target, asset, path, version = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		metadata, reason             = make([]string, n), make([]string, n)
		present, guarded             = make([]bool, n), make([]bool, n)
		hash                         = make([][]byte, n)
	)
	anyGuarded := false
	for i, c := range changes {
		d := c.Desired
		target[i], asset[i], path[i], version[i], reason[i] = c.Target, c.asset, cleanText(d.Path), cleanText(d.Version), cleanText(d.Reason)
		present[i], guarded[i] = d.Present, c.Gated
		metadata[i] = cleanJSON(d.Metadata)
		hash[i] = d.MetadataHash[:]
		anyGuarded = anyGuarded || c.Gated
	}
	if _, err := tx.Exec(ctx, writePlacementsSQL, target, asset, present, path, version, metadata, hash, reason, guarded, urgency); err != nil {
		return fmt.Errorf("write placements: %w", err)
	}
	if anyGuarded {
		if err := notify(ctx, tx, state.TopicGate); err != nil {
			return err
		}
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// PlanAssets plans ids again. Each asset is locked meanwhile.
func (s *Store) PlanAssets(ctx context.Context, obs state.Observation, ids []string, decide state.Decide) error {
	return s.inPlanningTx(ctx, "plan assets", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM damsync.asset WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids); err != nil {
			return fmt.Errorf("lock assets: %w", err)
		}
		return (planning{obs, decide}).plan(ctx, tx, ids)
	})
}

// PlanNext plans up to limit assets after the given id, in the order of their ids, and returns the last id; empty at
// the end. It evaluates assets without locks. Only those that change are locked and evaluated again, so a pass without
// changes writes nothing.
func (s *Store) PlanNext(ctx context.Context, obs state.Observation, after string, limit int, decide state.Decide) (string, error) {
	var changing []string
	last, err := s.scan(ctx, after, limit, func(now time.Time, k state.Known) {
		if v := decide(now, k); len(v.Changes) > 0 || v.Needs > levelOf(k) || len(v.Failed) > 0 {
			changing = append(changing, k.Asset.ID)
		}
	})
	if err != nil || len(changing) == 0 {
		return last, err
	}
	return last, s.PlanAssets(ctx, obs, changing, decide)
}

// Preview calls see with each asset and what decide returns for it, in the order of ids, and writes nothing.
func (s *Store) Preview(ctx context.Context, decide state.Decide, see func(state.Known, state.Verdict) error) error {
	var failed error
	for after := ""; ; {
		last, err := s.scan(ctx, after, 2000, func(now time.Time, k state.Known) {
			if failed == nil {
				failed = see(k, decide(now, k))
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
func (s *Store) scan(ctx context.Context, after string, limit int, visit func(time.Time, state.Known)) (string, error) {
	now, known, err := loadKnown(ctx, s.pool, `a.id > $1 AND a.id <= coalesce(
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
