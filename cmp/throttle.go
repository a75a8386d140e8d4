package cmp

import (
	"sync"
	"time"
)

const (
	minPause     = time.Second
	maxSelfPause = time.Minute // bounds the pauses chosen here, not those the API asks for
)

// throttle chooses how long to pause after a 429 without Retry-After: twice as long
// each time, but one step for all requests that were in flight together.
type throttle struct {
	mu    sync.Mutex
	last  time.Duration
	until time.Time
}

// hit returns the pause for a 429 seen at now.
func (t *throttle) hit(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.until) {
		return t.until.Sub(now)
	}
	t.last = min(max(2*t.last, minPause), maxSelfPause)
	t.until = now.Add(t.last)
	return t.last
}

// pass notes a success; after the pause it ends the doubling.
func (t *throttle) pass(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !now.Before(t.until) {
		t.last = 0
	}
}
