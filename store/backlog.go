package store

import (
	"context"
	"fmt"
	"time"

	"damsync/internal/state"
)

// Backlog counts the work that is not done at targets and was planned up to
// planned. A placement that failed for a passing reason counts as on its way
// for its first attempts, and so does one that is due or in work again. At a
// target that has been failing for longer, everything counts as failed; one that
// does not run has no backlog.
func (s *Store) Backlog(ctx context.Context, targets []string, planned time.Time) (state.Backlog, error) {
	var b state.Backlog
	err := s.pool.QueryRow(ctx, `
		WITH dirty AS ( -- in two parts, each of which has its index
			SELECT target, gate, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement
			WHERE target = ANY($1) AND desired_generation > applied_generation AND gate = 'open' AND desired_at <= $2
			UNION ALL
			SELECT target, gate, error_class, attempts, next_attempt_at, lease_until FROM damsync.placement
			WHERE target = ANY($1) AND desired_generation > applied_generation AND gate <> 'open' AND desired_at <= $2
		), judged AS (
			SELECT gate, coalesce(t.attempts >= 5 AND t.paused_until > clock_timestamp(), false)
				OR error_class <> '' AND next_attempt_at > clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
				AND NOT (d.attempts < 5 AND error_class IN ('temporary', 'source', 'unknown', 'throttled')) AS failed
			FROM dirty d LEFT JOIN damsync.target t ON t.name = d.target
			WHERE coalesce(t.problem, '') = ''
		)
		SELECT (SELECT count(*) FROM damsync.lookup WHERE wanted > done AND (error_class = '' OR attempts < 5) AND wanted_at <= $2),
			(SELECT count(*) FROM damsync.lookup WHERE wanted > done AND error_class <> '' AND attempts >= 5 AND wanted_at <= $2),
			count(*) FILTER (WHERE gate = 'open' AND NOT failed), count(*) FILTER (WHERE gate = 'waiting'),
			count(*) FILTER (WHERE gate = 'held'), count(*) FILTER (WHERE gate = 'open' AND failed),
			(SELECT count(*) FROM damsync.decision_failure WHERE target = ANY($1))
		FROM judged`, targets, planned).
		Scan(&b.Lookups, &b.LookupsFailed, &b.Placements, &b.Waiting, &b.Held, &b.Failed, &b.Undecided)
	if err != nil {
		return b, fmt.Errorf("count the backlog: %w", err)
	}
	return b, nil
}
