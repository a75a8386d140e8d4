package cmp

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	minPause = time.Second
	// maxSelfPause bounds the pauses chosen here, maxToldPause those the API asks for:
	// a wrong date must not silence us for ever, one request a day finds out.
	maxSelfPause = time.Minute
	maxToldPause = 24 * time.Hour
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

// retryAfter reads Retry-After, in seconds or as an HTTP date, bounded to
// [minPause, maxToldPause].
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s >= 0) {
			return 0, false
		}
		s = min(s, maxToldPause.Seconds())
		return max(time.Duration(s*float64(time.Second)), minPause), true
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), minPause), maxToldPause), true
	}
	return 0, false
}
