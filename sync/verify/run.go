package verify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"damsync/internal/state"
	"damsync/sync/loop"
)

// runLease is how long a verification of a killed process keeps others from starting one.
const runLease = 30 * time.Second

// counters is the progress of a run and the part of it that is recorded.
type counters struct {
	listed, drift, bytes          atomic.Int64
	recordedListed, recordedDrift int64 // of one goroutine at a time
}

// record passes what was added since the last call to write.
func (c *counters) record(write func(state.Progress) error) error {
	listed, drift := c.listed.Load(), c.drift.Load()
	err := write(state.Progress{Seen: int(listed - c.recordedListed), Changed: int(drift - c.recordedDrift)})
	if err == nil {
		c.recordedListed, c.recordedDrift = listed, drift
	}
	return err
}

// run verifies targets one after the other, as one run of which replicas do one at a time. A run that a killed process
// left is not resumed: what it had seen of a list proves nothing.
func (v *Verifier) run(ctx context.Context, targets []Target, o Options) (state.Run, Result, error) {
	var result Result
	run, err := v.Runs.StartRun(ctx, state.KindVerify, o.RequestedBy, runLease, 0)
	if err != nil {
		return run, result, err
	}
	counted := &counters{}
	leased, stop := v.keepRun(ctx, run, counted)
	for _, t := range targets {
		c := comparison{by: v, run: run, target: t, o: o, counted: counted}
		tv, err := c.verify(leased)
		if tv.Err = err; err != nil && leased.Err() != nil {
			break
		}
		result.Targets = append(result.Targets, tv)
	}
	err = context.Cause(leased)
	stop()
	return run, result, errors.Join(err, v.endRun(ctx, run, result, err, counted))
}

// keepRun renews the run's lease and records its progress. It ends the returned context when another process has taken
// the run over. The returned function waits for the last renewal.
func (v *Verifier) keepRun(ctx context.Context, run state.Run, counted *counters) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := loop.Renew(ctx, runLease/4, func(ctx context.Context) {
		switch err := v.recordRun(ctx, run, counted); {
		case errors.Is(err, state.ErrLeaseLost):
			cancel(err)
		case err != nil && ctx.Err() == nil:
			v.Log.Warn().Err(err).Int64("run_id", run.ID).Msg("recording the progress of the verification failed; its lease may end")
		}
	})
	return ctx, func() { cancel(nil); stop() }
}

func (v *Verifier) recordRun(ctx context.Context, run state.Run, counted *counters) error {
	return counted.record(func(p state.Progress) error { return v.Runs.RecordProgress(ctx, run, p, runLease) })
}

// endRun closes the run, also when ctx has ended.
func (v *Verifier) endRun(ctx context.Context, run state.Run, result Result, failure error, counted *counters) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if errors.Is(failure, state.ErrLeaseLost) {
		return nil
	}
	reasons := []error{failure}
	for _, t := range result.Targets {
		if t.Err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", t.Target, t.Err))
		}
	}
	if err := v.recordRun(ctx, run, counted); err != nil {
		return err
	}
	if err := errors.Join(reasons...); err != nil {
		return v.Runs.FailRun(ctx, run, err.Error())
	}
	_, err := v.Runs.FinishRun(ctx, run, "")
	return err
}
