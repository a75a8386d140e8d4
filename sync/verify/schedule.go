package verify

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/state"
	"damsync/sync/loop"
)

// retryAfter is how long after a failed one the next scheduled verification waits: a failing target is not listed over
// and over.
const retryAfter = time.Hour

// Step verifies all targets when the schedule says so. The first verification comes with the schedule, not at once:
// nothing can have drifted yet.
func (v *Verifier) Step(s cron.Schedule) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		if s == nil || !v.Planner.Rules.Known() {
			return loop.ScheduleCheck, nil
		}
		last, err := v.Runs.Observation(ctx, state.KindVerify)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		if last.LastAttempt.IsZero() {
			return loop.ScheduleCheck, v.Runs.BeginObservation(ctx, state.KindVerify)
		}
		now, err := v.Runs.Now(ctx)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		if wait := due(s, last, now); wait > 0 {
			return min(wait, loop.ScheduleCheck), nil
		}
		return loop.ScheduleCheck, v.observe(ctx)
	}
}

// observe runs a scheduled verification and records its outcome.
func (v *Verifier) observe(ctx context.Context) error {
	if err := v.Runs.BeginObservation(ctx, state.KindVerify); err != nil {
		return err
	}
	err := v.scheduled(ctx)
	if errors.Is(err, state.ErrRunning) || ctx.Err() != nil {
		return nil
	}
	failure := ""
	if err != nil {
		v.Log.Warn().Err(err).Dur("retry_in_ms", retryAfter).Msg("verifying the targets failed")
		failure = err.Error()
	}
	return v.Runs.EndObservation(ctx, state.KindVerify, nil, failure)
}

// due returns how long it takes until the next verification: by the schedule after the last success, and after a failed
// attempt not before retryAfter.
func due(s cron.Schedule, last state.ObservationState, now time.Time) time.Duration {
	since := last.LastSuccess
	if since.IsZero() {
		since = last.LastAttempt
	}
	wait := s.Next(since).Sub(now)
	if last.LastAttempt.After(last.LastSuccess) && !last.LastSuccess.IsZero() {
		wait = max(wait, last.LastAttempt.Add(retryAfter).Sub(now))
	}
	return max(0, wait)
}

// scheduled verifies what every target lists and repairs where that is configured; the daemons do the resulting work.
func (v *Verifier) scheduled(ctx context.Context) error {
	o := Options{RequestedBy: "schedule"}
	targets, err := v.verifiable(&o)
	if err != nil {
		return err
	}
	run, result, err := v.run(ctx, targets, o)
	if err != nil {
		return err
	}
	var failed []error
	for i, t := range targets {
		tv := result.Targets[i]
		drift := tv.Counts.Differing()
		switch {
		case tv.Err != nil:
			failed = append(failed, tv.Err)
		case drift > 0 && t.Repair:
			one := Result{Targets: []TargetResult{tv}}
			failed = append(failed, v.repairAll(ctx, run, targets[i:i+1], &one, o))
		case drift > 0:
			v.Log.Warn().Str("target", tv.Target).Int64("drift", drift).
				Msgf("the target differs from what was put there: see report.drift, then damsync verify --target %s --repair", tv.Target)
		}
	}
	return errors.Join(failed...)
}
