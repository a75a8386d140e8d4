package sync

import (
	"context"
	"errors"
	"sync/atomic"

	"damsync/internal/state"
)

// verifyCounters is what a run has done and not yet recorded.
type verifyCounters struct {
	listed, drift, bytes          atomic.Int64
	recordedListed, recordedDrift int64 // of one goroutine at a time
}

// record has write take what has come since it last did.
func (c *verifyCounters) record(write func(state.Progress) error) error {
	listed, drift := c.listed.Load(), c.drift.Load()
	err := write(state.Progress{Seen: int(listed - c.recordedListed), Changed: int(drift - c.recordedDrift)})
	if err == nil {
		c.recordedListed, c.recordedDrift = listed, drift
	}
	return err
}

// keepRun renews the run's lease and records its progress while it goes on, and ends
// the context when another process has taken the run over. The function returned
// waits for the renewal to end.
func (e *Engine) keepRun(ctx context.Context, run state.Run, counted *verifyCounters) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := renewing(ctx, runLease/4, func(ctx context.Context) {
		switch err := e.recordVerify(ctx, run, counted); {
		case errors.Is(err, state.ErrLeaseLost):
			cancel(err)
		case err != nil && ctx.Err() == nil:
			e.log.Warn().Err(err).Int64("run_id", run.ID).Msg("progress of the verification cannot be recorded; its lease may end")
		}
	})
	return ctx, func() { cancel(nil); stop() }
}

func (e *Engine) recordVerify(ctx context.Context, run state.Run, counted *verifyCounters) error {
	return counted.record(func(p state.Progress) error { return e.store.RecordProgress(ctx, run, p, runLease) })
}
