package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Schedule holds cron expressions as robfig/cron reads them; an empty one is off.
type Schedule struct {
	Incremental string
	// IncrementalLimit is how far apart polls may be while webhooks announce what they find; 0: as scheduled.
	IncrementalLimit time.Duration
	Audit            string // of the windows that are counted in turn; counts that differ start an audit by themselves
	Sweep            string
	Verify           string
	// FirstLight ranks folders: of many assets that have to be read in depth, those first.
	FirstLight plan.FolderOrder
}

// observe runs the observations on the leader: what is overdue at once, then by
// their schedule. Poll and sweep may run side by side; each at most once.
func (e *Engine) observing(ctx context.Context) error {
	poll, err := parseSchedule("incremental", e.opts.Schedule.Incremental)
	if err != nil {
		return err
	}
	sweep, err := parseSchedule("sweep", e.opts.Schedule.Sweep)
	if err != nil {
		return err
	}
	windows, err := parseSchedule("audit", e.opts.Schedule.Audit)
	if err != nil {
		return err
	}
	verify, err := parseSchedule("verify", e.opts.Schedule.Verify)
	if err != nil {
		return err
	}
	g := newGroup(ctx)
	g.run("verify", func(ctx context.Context) error {
		return e.onLeader(ctx, newBell(), "verify targets", func(ctx context.Context) (time.Duration, error) {
			return e.verifyStep(ctx, verify)
		})
	})
	g.run("references", func(ctx context.Context) error {
		return e.onLeader(ctx, e.bells.references, "read folders, labels and fields", e.referencesStep)
	})
	g.run("incremental", func(ctx context.Context) error {
		return e.onLeader(ctx, e.bells.poll, "poll the library", func(ctx context.Context) (time.Duration, error) {
			return e.pollStep(ctx, poll)
		})
	})
	g.run("burst", e.bursts)
	g.run("audit", func(ctx context.Context) error {
		return e.onLeader(ctx, e.bells.audit, "audit the library", func(ctx context.Context) (time.Duration, error) {
			return e.auditStep(ctx, windows)
		})
	})
	g.run("sweep", func(ctx context.Context) error {
		return e.onLeader(ctx, e.bells.sweep, "sweep the library", func(ctx context.Context) (time.Duration, error) {
			return e.sweepStepLeader(ctx, sweep)
		})
	})
	return g.wait(ctx)
}

// leaderCheck is how often a schedule is looked at besides its own times: the
// lead may come, and the clock may jump.
const leaderCheck = 5 * time.Second

func parseSchedule(name, spec string) (cron.Schedule, error) {
	if spec == "" {
		return nil, nil
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", name, err)
	}
	return s, nil
}

// scheduled runs do when its time has come since the last success, and says how
// long to wait for the next.
func (e *Engine) scheduled(ctx context.Context, kind string, s cron.Schedule, asked bool, do func(context.Context) error) (time.Duration, error) {
	if !e.rulesKnown() {
		return leaderCheck, nil // what is read is planned, once; the bell tells when
	}
	last, err := e.store.Observation(ctx, kind)
	if err != nil {
		return leaderCheck, err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return leaderCheck, err
	}
	due := nextDue(s, last, now)
	if !asked && due > 0 {
		return min(due, leaderCheck), nil
	}
	err = do(ctx)
	var deferred *grant.Deferred
	switch {
	case errors.As(err, &deferred):
		e.log.Info().Str("observation", kind).Time("until", deferred.Until).Msg("deferred by quota")
		return untilDeferred(deferred), nil
	case errors.Is(err, state.ErrRunning):
		return leaderCheck, nil
	}
	return 0, err
}

// nextDue is how long until the observation is due: at once when it never
// succeeded or its time has passed since.
func nextDue(s cron.Schedule, last state.ObservationState, now time.Time) time.Duration {
	if s == nil {
		return leaderCheck
	}
	if last.LastSuccess.IsZero() {
		return 0
	}
	return max(0, s.Next(last.LastSuccess).Sub(now))
}

// pollStep polls when the schedule, as wide as webhooks let it be, says so.
func (e *Engine) pollStep(ctx context.Context, s cron.Schedule) (time.Duration, error) {
	widened, err := e.pollSchedule(ctx, s)
	if err != nil {
		return leaderCheck, err
	}
	return e.scheduled(ctx, state.KindIncremental, widened, false, e.Poll)
}

// auditStep audits when counts have asked for it, and counts the windows whose turn it is. It waits for
// the first sweep, and for one that is under way.
func (e *Engine) auditStep(ctx context.Context, s cron.Schedule) (time.Duration, error) {
	swept, err := e.store.Observation(ctx, state.KindSweep)
	if err != nil {
		return leaderCheck, err
	}
	sweeping, err := e.store.HasRunning(ctx, state.KindSweep)
	if err != nil || sweeping || !mirrored(swept) {
		return leaderCheck, err
	}
	if e.auditAsked.Swap(false) {
		return e.scheduled(ctx, state.KindAudit, nil, true, func(ctx context.Context) error {
			_, err := e.Audit(ctx, AuditOptions{Class: grant.Audit, RequestedBy: "counts"})
			return err
		})
	}
	return e.scheduled(ctx, state.KindAuditWindows, s, false, e.auditTurns)
}

// askAudit makes the leader audit the whole library now.
func (e *Engine) askAudit() {
	e.auditAsked.Store(true)
	e.bells.audit.ring()
}

// sweepStepLeader sweeps when it is due, when counts differ, when one was left
// unfinished, and first of all when the mirror was never filled.
func (e *Engine) sweepStepLeader(ctx context.Context, s cron.Schedule) (time.Duration, error) {
	last, err := e.store.Observation(ctx, state.KindSweep)
	if err != nil {
		return leaderCheck, err
	}
	unfinished, err := e.store.HasRunning(ctx, state.KindSweep)
	if err != nil {
		return leaderCheck, err
	}
	first := last.LastSuccess.IsZero()
	asked := first || unfinished || e.sweepAsked.Load()
	class := grant.Sweep
	if first {
		class = grant.Incremental // first light: all summaries, then their details
	}
	return e.scheduled(ctx, state.KindSweep, s, asked, func(ctx context.Context) error {
		e.sweepAsked.Store(false)
		_, err := e.Sweep(ctx, SweepOptions{Class: class, RequestedBy: "schedule"})
		return err
	})
}

// askSweep makes the leader sweep now.
func (e *Engine) askSweep() {
	e.sweepAsked.Store(true)
	e.bells.sweep.ring()
}

// referencesStep reads folders, labels and fields when they are old or somebody
// saw that they have changed.
func (e *Engine) referencesStep(ctx context.Context) (time.Duration, error) {
	last, err := e.store.Observation(ctx, state.KindReferences)
	if err != nil {
		return leaderCheck, err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return leaderCheck, err
	}
	wait, wanted := e.references.due()
	age := now.Sub(last.LastSuccess)
	switch {
	case age > referencesAge:
	case wanted && wait == 0:
	case wanted:
		return wait, nil
	default:
		return min(referencesAge-age, leaderCheck), nil
	}
	err = e.RefreshReferences(ctx, grant.Incremental)
	var deferred *grant.Deferred
	if errors.As(err, &deferred) {
		return untilDeferred(deferred), nil
	}
	return 0, err
}
