package sync

import (
	"context"
	"testing"
	"time"
)

// longestStall measures by how much this process was kept from running, at the worst, until
// the function returned is called: a real-time promise cannot be judged on a
// machine that does not give it time.
func longestStall(t *testing.T) func() time.Duration {
	const tick = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	longest := make(chan time.Duration, 1)
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		var worst time.Duration
		for last := time.Now(); ; {
			select {
			case now := <-ticker.C:
				worst = max(worst, time.Since(last)-tick)
				last = now
			case <-ctx.Done():
				longest <- worst
				return
			}
		}
	}()
	return func() time.Duration {
		cancel()
		return <-longest
	}
}
