package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// Status is what `damsync status --json` prints. Its keys are a fixed interface: keys may be added, none changed. Times
// are UTC by the database's clock; an unknown time is null.
type Status struct {
	Mirror       MirrorStatus                 `json:"mirror"`
	Targets      []TargetStatus               `json:"targets"` // ordered by name
	Quota        QuotaStatus                  `json:"quota"`
	Observations map[string]ObservationStatus `json:"observations"`
	Inbox        InboxStatus                  `json:"inbox"`
	Lookups      LookupStatus                 `json:"lookups"`
	Leader       LeaderStatus                 `json:"leader"`
}

// MirrorStatus counts what the library holds, as far as known.
type MirrorStatus struct {
	Assets  int64 `json:"assets"`
	Folders int64 `json:"folders"`
}

// TargetStatus counts the placements of one target. Desired counts those that should be there. Of the others each counts
// a state that damsync.placement_state names, removals included; removals that are done are not counted.
type TargetStatus struct {
	Name        string     `json:"name"`
	Desired     int64      `json:"desired"`
	InSync      int64      `json:"in_sync"`
	Pending     int64      `json:"pending"`   // wait for a worker or for the removal guard
	Failed      int64      `json:"failed"`    // wait for the next attempt
	Held        int64      `json:"held"`      // removals that wait for approval
	Conflicts   int64      `json:"conflicts"` // another object has the path at the target
	Problem     string     `json:"problem"`   // why the target does not run; empty when it does
	PausedUntil *time.Time `json:"paused_until"`
	PauseReason string     `json:"pause_reason"` // of the last pause, until a placement succeeds
}

// ObservationStatus says how fresh one kind of observation is.
type ObservationStatus struct {
	LastAttempt *time.Time `json:"last_attempt"`
	LastSuccess *time.Time `json:"last_success"`
	Error       string     `json:"error"`
}

// InboxStatus counts the webhooks that were stored and not processed.
type InboxStatus struct {
	Pending int64 `json:"pending"`
}

// LookupStatus counts the assets that have to be read singly.
type LookupStatus struct {
	Pending int64 `json:"pending"` // not tried yet, or deferred by the quota
	Failed  int64 `json:"failed"`  // wait for the next attempt
}

// LeaderStatus says which replica runs the schedule; empty when none does.
type LeaderStatus struct {
	Holder string     `json:"holder"`
	Until  *time.Time `json:"until"`
}

// scheduled returns the observations that are reported even before they first ran.
func scheduled() []string { return []string{state.KindIncremental, state.KindAudit, state.KindSweep} }

// Status reads everything from one snapshot. It lists the given targets and all others that have placements.
func (s *Store) Status(ctx context.Context, quota LedgerConfig, targets ...string) (Status, error) {
	var st Status
	err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
		for _, read := range []func() error{
			func() error { return st.readCounts(ctx, tx) },
			func() error { return st.readTargets(ctx, tx, targets) },
			func() error { return st.readQuota(ctx, tx, quota) },
			func() error { return st.readObservations(ctx, tx) },
			func() error { return st.readLeader(ctx, tx) },
		} {
			if err := read(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	return st, nil
}

func (st *Status) readCounts(ctx context.Context, tx pgx.Tx) error {
	const counts = `SELECT
		(SELECT count(*) FROM damsync.asset WHERE removed_at IS NULL),
		(SELECT count(*) FROM damsync.folder),
		(SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL),
		(SELECT count(*) FROM damsync.lookup l WHERE damsync.is_pending(l) AND error_class IN ('', 'deferred')),
		(SELECT count(*) FROM damsync.lookup l WHERE damsync.is_pending(l) AND error_class NOT IN ('', 'deferred'))`
	err := tx.QueryRow(ctx, counts).Scan(
		&st.Mirror.Assets, &st.Mirror.Folders, &st.Inbox.Pending, &st.Lookups.Pending, &st.Lookups.Failed)
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

// targetCountsSQL counts each placement in the one state that it has.
const targetCountsSQL = `
	WITH counted AS (
		SELECT target AS name,
			count(*) FILTER (WHERE desired_present) AS desired,
			count(*) FILTER (WHERE state = 'in_sync') AS in_sync,
			count(*) FILTER (WHERE state = 'pending') AS pending,
			count(*) FILTER (WHERE state = 'failed') AS failed,
			count(*) FILTER (WHERE state = 'held') AS held,
			count(*) FILTER (WHERE state = 'conflict') AS conflicts
		FROM (SELECT target, desired_present, damsync.placement_state(p) AS state FROM damsync.placement p) states GROUP BY target
	)
	SELECT name, coalesce(desired, 0), coalesce(in_sync, 0), coalesce(pending, 0), coalesce(failed, 0), coalesce(held, 0),
		coalesce(conflicts, 0), coalesce(t.problem, ''), CASE WHEN t.paused_until > now() THEN t.paused_until END, coalesce(t.pause_reason, '')
	FROM (SELECT DISTINCT unnest($1::text[]) AS name) configured
	FULL JOIN counted USING (name)
	LEFT JOIN damsync.target t USING (name)
	ORDER BY name`

func (st *Status) readTargets(ctx context.Context, tx pgx.Tx, names []string) error {
	rows, err := tx.Query(ctx, targetCountsSQL, names)
	if err != nil {
		return fmt.Errorf("count placements: %w", err)
	}
	st.Targets, err = pgx.CollectRows(rows, pgx.RowToStructByPos[TargetStatus])
	if err != nil {
		return fmt.Errorf("count placements: %w", err)
	}
	for i := range st.Targets {
		st.Targets[i].PausedUntil = inUTC(st.Targets[i].PausedUntil)
	}
	return nil
}

func (st *Status) readObservations(ctx context.Context, tx pgx.Tx) error {
	st.Observations = map[string]ObservationStatus{}
	for _, kind := range scheduled() {
		st.Observations[kind] = ObservationStatus{}
	}
	rows, err := tx.Query(ctx, `SELECT kind, last_attempt, last_success, error FROM damsync.observation`)
	if err != nil {
		return fmt.Errorf("read observations: %w", err)
	}
	var (
		kind string
		o    ObservationStatus
	)
	_, err = pgx.ForEachRow(rows, []any{&kind, &o.LastAttempt, &o.LastSuccess, &o.Error}, func() error {
		st.Observations[kind] = ObservationStatus{LastAttempt: inUTC(o.LastAttempt), LastSuccess: inUTC(o.LastSuccess), Error: o.Error}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read observations: %w", err)
	}
	return nil
}

func (st *Status) readLeader(ctx context.Context, tx pgx.Tx) error {
	holder, until, err := leaseHolder(ctx, tx, state.LeaseLeader)
	if err != nil {
		return err
	}
	st.Leader.Holder = holder
	if holder != "" {
		st.Leader.Until = &until
	}
	return nil
}
