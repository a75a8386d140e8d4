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

// referencesLock is held shared by who judges assets, and alone by who commits other folders, labels
// or fields. So nobody commits what was judged by the old ones after the epoch has been raised, when the
// planner may have passed the asset already.
const referencesLock = `hashtextextended('damsync references', 0)`

// inPlanningTx is inTx for who judges assets in it. The lock is taken before any other, so that who waits
// for it keeps nobody waiting.
func (s *Store) inPlanningTx(ctx context.Context, doing string, fn func(pgx.Tx) error) error {
	return s.inTx(ctx, doing, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(`+referencesLock+`)`); err != nil {
			return fmt.Errorf("wait for folders, labels and fields: %w", err)
		}
		return fn(tx)
	})
}

// planAssets judges assets whose rows tx, a planning one, holds locked and writes what follows:
// placements, and lookups for what has to be known first.
func (s *Store) planAssets(ctx context.Context, tx pgx.Tx, obs state.Observation, ids []string, decide state.Decide) error {
	if len(ids) == 0 || decide == nil {
		return nil
	}
	now, known, err := loadKnown(ctx, tx, `a.id = ANY($1)`, ids)
	if err != nil {
		return err
	}
	var changes []assetChange
	var wanted []deeper
	var failures decisionFailures
	for _, k := range known {
		v := decide(now, k)
		for _, c := range v.Changes {
			changes = append(changes, assetChange{asset: k.Asset.ID, Change: c})
		}
		if v.Needs > levelOf(k) {
			wanted = append(wanted, deeper{Known: k, rank: v.Rank})
		}
		failures.add(k.Asset.ID, v.Failed)
	}
	if err := failures.write(ctx, tx, ids); err != nil {
		return err
	}
	if err := writePlacements(ctx, tx, obs.Class.Rank(), changes); err != nil {
		return err
	}
	return wantDetails(ctx, tx, obs, wanted)
}

// levelOf tells how much is known: what is known already is never asked for again.
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
	desired_metadata_hash, desired_reason, desired_generation, desired_at, urgency, gate, next_attempt_at, expires_at)
SELECT target, asset_id, present, path, version, metadata, hash, reason, nextval('damsync.generation'), clock_timestamp(), $10, 'open',
	clock_timestamp(), (SELECT d.expires_at FROM damsync.asset_detail d WHERE d.asset_id = u.asset_id)
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::text[], $9::boolean[])
	AS u (target, asset_id, present, path, version, metadata, hash, reason, gated)
ON CONFLICT (target, asset_id) DO UPDATE SET
	desired_present = excluded.desired_present, desired_path = excluded.desired_path, desired_version = excluded.desired_version,
	desired_metadata = excluded.desired_metadata, desired_metadata_hash = excluded.desired_metadata_hash,
	desired_reason = excluded.desired_reason, desired_generation = excluded.desired_generation,
	desired_at = excluded.desired_at, expires_at = excluded.expires_at,
	urgency = CASE WHEN p.desired_generation > p.applied_generation THEN least(p.urgency, excluded.urgency) ELSE excluded.urgency END,
	gate = CASE WHEN p.applied_state NOT IN ('present', 'incomplete') AND p.intent_generation IS NULL THEN 'open'
		WHEN (p.target, p.asset_id) IN (SELECT u.target, u.asset_id FROM unnest($1::text[], $2::text[], $9::boolean[]) AS u (target, asset_id, gated) WHERE u.gated)
		THEN 'waiting' ELSE 'open' END,
	attempts = 0, next_attempt_at = excluded.next_attempt_at, error_class = '', error = ''`

// writePlacements raises the generation of each placement and wakes the pushers. A removal
// of something that is there waits at the gate.
func writePlacements(ctx context.Context, tx pgx.Tx, urgency int, changes []assetChange) error {
	if len(changes) == 0 {
		return nil
	}
	n := len(changes)
	var (
		target, asset, path, version = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		metadata, reason             = make([]string, n), make([]string, n)
		present, gated               = make([]bool, n), make([]bool, n)
		hash                         = make([][]byte, n)
	)
	anyGated := false
	for i, c := range changes {
		d := c.Desired
		target[i], asset[i], path[i], version[i], reason[i] = c.Target, c.asset, cleanText(d.Path), cleanText(d.Version), cleanText(d.Reason)
		present[i], gated[i] = d.Present, c.Gated
		metadata[i] = cleanJSON(d.Metadata)
		hash[i] = d.MetadataHash[:]
		anyGated = anyGated || c.Gated
	}
	if _, err := tx.Exec(ctx, writePlacementsSQL, target, asset, present, path, version, metadata, hash, reason, gated, urgency); err != nil {
		return fmt.Errorf("write placements: %w", err)
	}
	if anyGated {
		if err := notify(ctx, tx, state.TopicGate); err != nil {
			return err
		}
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// PlanAssets judges ids anew. Each is locked while it is judged.
func (s *Store) PlanAssets(ctx context.Context, obs state.Observation, ids []string, decide state.Decide) error {
	return s.inPlanningTx(ctx, "plan assets", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT 1 FROM damsync.asset WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids); err != nil {
			return fmt.Errorf("lock assets: %w", err)
		}
		return s.planAssets(ctx, tx, obs, ids, decide)
	})
}

// PlanNext judges up to limit assets in the order of their ids after the id given, and returns the
// last id judged, empty at the end. Assets are judged without locks; only those
// that change are locked and judged again, so that a pass without changes
// writes nothing.
func (s *Store) PlanNext(ctx context.Context, obs state.Observation, after string, limit int, decide state.Decide) (string, error) {
	last, dirty, err := s.judge(ctx, after, limit, func(now time.Time, k state.Known) bool {
		v := decide(now, k)
		return len(v.Changes) > 0 || v.Needs > levelOf(k) || len(v.Failed) > 0
	})
	if err != nil || len(dirty) == 0 {
		return last, err
	}
	return last, s.PlanAssets(ctx, obs, dirty, decide)
}

// Preview calls see for each asset with what decide says of it, in the order of
// ids, and writes nothing.
func (s *Store) Preview(ctx context.Context, decide state.Decide, see func(state.Known, state.Verdict) error) error {
	var failed error
	for after := ""; ; {
		last, _, err := s.judge(ctx, after, 2000, func(now time.Time, k state.Known) bool {
			if failed == nil {
				failed = see(k, decide(now, k))
			}
			return false
		})
		if err != nil || failed != nil || last == "" {
			return cmp.Or(err, failed)
		}
		after = last
	}
}

func (s *Store) judge(ctx context.Context, after string, limit int, dirty func(time.Time, state.Known) bool) (string, []string, error) {
	now, known, err := loadKnown(ctx, s.pool, `a.id > $1 AND a.id <= coalesce(
		(SELECT max(id) FROM (SELECT id FROM damsync.asset WHERE id > $1 ORDER BY id LIMIT $2) b), $1)`, after, limit)
	if err != nil {
		return "", nil, err
	}
	var ids []string
	last := ""
	for _, k := range known {
		last = k.Asset.ID
		if dirty(now, k) {
			ids = append(ids, last)
		}
	}
	return last, ids, nil
}
