package sync

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/state"
)

// verifyAgain is how long after one that failed the next scheduled verification
// waits: a target in trouble is not listed over and over.
const verifyAgain = time.Hour

// verifyStep verifies all targets when the schedule says so. The first time comes with
// the schedule, not at once: there is nothing yet that could have drifted.
func (e *Engine) verifyStep(ctx context.Context, s cron.Schedule) (time.Duration, error) {
	if s == nil || !e.rulesKnown() {
		return leaderCheck, nil
	}
	last, err := e.store.Observation(ctx, state.KindVerify)
	if err != nil {
		return leaderCheck, err
	}
	if last.LastAttempt.IsZero() {
		return leaderCheck, e.store.BeginObservation(ctx, state.KindVerify)
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return leaderCheck, err
	}
	if due := verifyDue(s, last, now); due > 0 {
		return min(due, leaderCheck), nil
	}
	if err := e.store.BeginObservation(ctx, state.KindVerify); err != nil {
		return leaderCheck, err
	}
	err = e.verifyScheduled(ctx)
	if errors.Is(err, state.ErrRunning) || ctx.Err() != nil {
		return leaderCheck, nil
	}
	failure := ""
	if err != nil {
		e.log.Warn().Err(err).Dur("retry_in_ms", verifyAgain).Msg("targets cannot be verified")
		failure = err.Error()
	}
	return leaderCheck, e.store.EndObservation(ctx, state.KindVerify, nil, failure)
}

// verifyDue is how long until the next verification: after the last success by the
// schedule, after an attempt that failed not sooner than verifyAgain.
func verifyDue(s cron.Schedule, last state.ObservationState, now time.Time) time.Duration {
	since := last.LastSuccess
	if since.IsZero() {
		since = last.LastAttempt
	}
	due := s.Next(since).Sub(now)
	if last.LastAttempt.After(last.LastSuccess) && !last.LastSuccess.IsZero() {
		due = max(due, last.LastAttempt.Add(verifyAgain).Sub(now))
	}
	return max(0, due)
}

// verifyScheduled verifies what every target lists, and repairs where that is
// configured; the daemons do the work that follows.
func (e *Engine) verifyScheduled(ctx context.Context) error {
	o := VerifyOptions{RequestedBy: "schedule"}
	targets, err := e.verifiable(&o)
	if err != nil {
		return err
	}
	run, result, err := e.verifyRun(ctx, targets, o)
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
		case drift > 0 && t.RepairDrift:
			one := VerifyResult{Targets: []TargetVerification{tv}}
			failed = append(failed, e.repairAll(ctx, run, targets[i:i+1], &one, o))
		case drift > 0:
			e.log.Warn().Str("target", tv.Target).Int64("drift", drift).
				Msgf("the target holds other things than were put there: see report.drift, then damsync verify --target %s --repair", tv.Target)
		}
	}
	return errors.Join(failed...)
}
