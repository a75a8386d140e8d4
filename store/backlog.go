package store

import (
	"context"
	"fmt"
	"strings"

	"damsync/internal/state"
)

// lookupFailedSQL tells a lookup that is not worth waiting for: its reason does not pass by itself, or has not
// for five attempts. What the quota or the login refuses is no failure of the asset.
const lookupFailedSQL = `(l.error_class NOT IN ('', 'deferred', 'auth') AND (l.attempts >= 5 OR l.error_class NOT IN ('temporary', 'unknown')))`

// backlogSQL reads dirty placements in two parts, each of which has its index. SCOPE is the condition on asset_id.
const backlogSQL = `
	WITH dirty AS (
		SELECT target, gate, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement
		WHERE target = ANY($1) AND desired_generation > applied_generation AND gate = 'open' AND desired_at <= $2 AND SCOPE
		UNION ALL
		SELECT target, gate, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement
		WHERE target = ANY($1) AND desired_generation > applied_generation AND gate <> 'open' AND desired_at <= $2 AND SCOPE
	), stuck AS ( -- where a wave waits for suspects that cannot be read
		SELECT DISTINCT p.target FROM damsync.lookup l JOIN damsync.placement p ON p.asset_id = l.asset_id
		WHERE l.wanted > l.done AND l.gone AND ` + lookupFailedSQL + ` AND p.target = ANY($1) AND p.applied_state = 'present' AND p.desired_present
	), judged AS (
		SELECT gate, CASE gate WHEN 'waiting' THEN d.target IN (SELECT target FROM stuck)
			ELSE coalesce(t.attempts >= 5 AND t.paused_until > clock_timestamp(), false)
				OR error_class IN ('invalid', 'foreign')
				OR error_class <> '' AND next_attempt_at > clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())
				AND NOT (d.attempts < 5 AND error_class IN ('temporary', 'source', 'unknown', 'throttled')) END AS failed
		FROM dirty d LEFT JOIN damsync.target t ON t.name = d.target
		WHERE coalesce(t.problem, '') = ''
	)
	SELECT (SELECT count(*) FROM damsync.lookup l WHERE wanted > done AND NOT ` + lookupFailedSQL + ` AND wanted_at <= $3 AND SCOPE),
		(SELECT coalesce((array_agg(class ORDER BY urgency))[1], '') FROM damsync.lookup l WHERE wanted > done AND NOT ` + lookupFailedSQL + ` AND wanted_at <= $3 AND SCOPE),
		(SELECT count(*) FROM damsync.lookup l WHERE wanted > done AND ` + lookupFailedSQL + ` AND wanted_at <= $3 AND SCOPE),
		count(*) FILTER (WHERE gate = 'open' AND NOT failed), count(*) FILTER (WHERE gate = 'waiting' AND NOT failed),
		count(*) FILTER (WHERE gate = 'held'), count(*) FILTER (WHERE gate <> 'held' AND failed),
		(SELECT count(*) FROM damsync.decision_failure WHERE target = ANY($1) AND SCOPE)
	FROM judged`

// Backlog counts the work of scope that is not done. A lookup, or a placement, that failed for
// a passing reason counts as on its way for its first attempts, and so does a placement whose conflict
// is due again. At a target that has been failing for longer, everything counts as failed; one that
// does not run has no backlog.
func (s *Store) Backlog(ctx context.Context, scope state.BacklogScope) (state.Backlog, error) {
	condition := "$4 = ''"
	if scope.AssetID != "" {
		condition = "asset_id = $4"
	}
	var b state.Backlog
	err := s.pool.QueryRow(ctx, strings.ReplaceAll(backlogSQL, "SCOPE", condition), scope.Targets, scope.Planned, scope.Wanted, scope.AssetID).
		Scan(&b.Lookups, &b.Urgent, &b.LookupsFailed, &b.Placements, &b.Waiting, &b.Held, &b.Failed, &b.Undecided)
	if err != nil {
		return b, fmt.Errorf("count the backlog: %w", err)
	}
	return b, nil
}
