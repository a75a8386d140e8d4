package store

import (
	"context"
	"fmt"
	"strings"

	"damsync/internal/state"
)

// lookupFailedSQL is the condition on a lookup l that it is not worth waiting for: its failure does not pass by
// itself, or has not passed for five attempts. A deferral by the quota and a refused login are not the asset's failures.
const lookupFailedSQL = `(l.error_class NOT IN ('', 'deferred', 'auth') AND (l.attempts >= 5 OR l.error_class NOT IN ('temporary', 'unknown')))`

// backlogSQL reads dirty placements in two parts, each of which has its index. SCOPE stands for the condition on
// asset_id.
const backlogSQL = `
	WITH dirty AS (
		SELECT target, guard, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement p
		WHERE target = ANY($1) AND damsync.is_dirty(p) AND guard = 'open' AND desired_at <= $2 AND SCOPE
		UNION ALL
		SELECT target, guard, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement p
		WHERE target = ANY($1) AND damsync.is_dirty(p) AND guard <> 'open' AND desired_at <= $2 AND SCOPE
	), stuck AS ( -- targets where a wave waits for suspects that cannot be read
		SELECT DISTINCT p.target FROM damsync.lookup l JOIN damsync.placement p ON p.asset_id = l.asset_id
		WHERE damsync.is_pending(l) AND l.gone AND ` + lookupFailedSQL + ` AND p.target = ANY($1) AND p.applied_state = 'present' AND p.desired_present
	), placements AS (
		SELECT guard, CASE guard WHEN 'waiting' THEN d.target IN (SELECT target FROM stuck)
			ELSE coalesce(t.attempts >= 5 AND t.paused_until > clock_timestamp(), false)
				OR error_class IN ('invalid', 'foreign')
				OR error_class <> '' AND next_attempt_at > clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())
				AND NOT (d.attempts < 5 AND error_class IN ('temporary', 'source', 'unknown', 'throttled')) END AS failed
		FROM dirty d LEFT JOIN damsync.target t ON t.name = d.target
		WHERE coalesce(t.problem, '') = ''
	), lookups AS (
		SELECT count(*) FILTER (WHERE NOT ` + lookupFailedSQL + `) AS waiting, min(urgency) FILTER (WHERE NOT ` + lookupFailedSQL + `) AS urgency,
			count(*) FILTER (WHERE ` + lookupFailedSQL + `) AS failed
		FROM damsync.lookup l WHERE damsync.is_pending(l) AND requested_at <= $3 AND SCOPE
	)
	SELECT (SELECT waiting FROM lookups), (SELECT urgency FROM lookups), (SELECT failed FROM lookups),
		count(*) FILTER (WHERE guard = 'open' AND NOT failed), count(*) FILTER (WHERE guard = 'waiting' AND NOT failed),
		count(*) FILTER (WHERE guard = 'held'), count(*) FILTER (WHERE guard <> 'held' AND failed),
		(SELECT count(*) FROM damsync.decision_failure WHERE target = ANY($1) AND SCOPE)
	FROM placements`

// Backlog counts the work in scope that is not done. A lookup or placement that failed for a passing reason counts as
// under way for its first attempts, and so does a placement whose conflict is due again. At a target that has been
// failing for longer everything counts as failed. A target that does not run has no backlog.
func (s *Store) Backlog(ctx context.Context, scope state.BacklogScope) (state.Backlog, error) {
	condition := "$4 = ''"
	if scope.AssetID != "" {
		condition = "asset_id = $4"
	}
	var b state.Backlog
	var urgency *int
	err := s.pool.QueryRow(ctx, strings.ReplaceAll(backlogSQL, "SCOPE", condition), scope.Targets, scope.Planned, scope.Requested, scope.AssetID).
		Scan(&b.Lookups, &urgency, &b.LookupsFailed, &b.Placements, &b.Waiting, &b.Held, &b.Failed, &b.Undecided)
	if err != nil {
		return b, fmt.Errorf("count backlog: %w", err)
	}
	if urgency != nil {
		b.Urgent = classOf(*urgency)
	}
	return b, nil
}
