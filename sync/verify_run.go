package sync

import (
	"context"
	"errors"
	"sync/atomic"

	"damsync/internal/state"
)

// verifyCounters is what a run has done and not yet recorded.
type verifyCounters struct {
	listed, drift, bytes         atomic.Int64
	recordedListed, recordedWith int64 // of one goroutine at a time
}

// take gives what has come since it was last asked.
func (c *verifyCounters) take() state.Progress {
	listed, drift := c.listed.Load(), c.drift.Load()
	p := state.Progress{Seen: int(listed - c.recordedListed), Changed: int(drift - c.recordedWith)}
	c.recordedListed, c.recordedWith = listed, drift
	return p
}

// keepRun renews the run's lease and records its progress while it goes on, and ends
// the context when another process has taken the run over. The function returned
// waits for the renewal to end.
func (e *Engine) keepRun(ctx context.Context, run state.Run, counted *verifyCounters) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := renewing(ctx, runLease/4, func(ctx context.Context) {
		err := e.store.RecordProgress(ctx, run, counted.take(), runLease)
		if errors.Is(err, state.ErrLeaseLost) {
			cancel(err)
		}
	})
	return ctx, func() { cancel(nil); stop() }
}
