package sync

import (
	"errors"
	"sync"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
)

// breaker keeps many lookups from being tried, one after the other, while the
// library answers none: each would cost requests of the month. It lets one
// through now and then to find out.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row, whichever the asset
	until    time.Time
	since    time.Time // the first of them
	last     error     // the reason of the last
	// deferred tells until when classes are not tried, since the quota refuses them.
	deferred map[grant.Class]time.Time
}

// breakAfter failures in a row it is the library and not the assets. More than one asset can be
// broken for good, so it takes some.
const breakAfter = 10

// note takes how one lookup of class ended.
func (b *breaker) note(class grant.Class, err error) {
	var deferred *grant.Deferred
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.As(err, &deferred):
		if class != grant.Webhook { // the most urgent may still have its reserve
			if b.deferred == nil {
				b.deferred = map[grant.Class]time.Time{}
			}
			b.deferred[class] = time.Now().Add(untilDeferred(deferred))
			return
		}
		b.failures = max(b.failures, breakAfter)
		b.until = time.Now().Add(untilDeferred(deferred))
	case errors.Is(err, cmp.ErrTemporary), errors.Is(err, cmp.ErrAuth):
		b.last = err
		if b.failures == 0 {
			b.since = time.Now()
		}
		if b.failures++; b.failures >= breakAfter {
			b.until = time.Now().Add(retryDelay(b.failures-breakAfter+1, time.Minute))
		}
	default: // an answer, or a failure that is not the library's
		b.failures, b.until, b.last = 0, time.Time{}, nil
	}
}

// allow tells how many of n lookups may be tried now, and if none, how long that
// lasts.
func (b *breaker) allow(n int) (int, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return n, 0
	}
	if wait := time.Until(b.until); wait > 0 {
		return 0, wait
	}
	return 1, 0
}

// outage tells since when the library has answered no lookup, and why; no error: it answers.
func (b *breaker) outage() (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return time.Time{}, nil
	}
	return b.since, b.last // none when it is the quota that refuses
}

// refused lists the classes that the quota refuses, and how long the first of them is not tried again.
func (b *breaker) refused() (classes []grant.Class, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for class, until := range b.deferred {
		left := time.Until(until)
		if left <= 0 {
			delete(b.deferred, class)
			continue
		}
		if len(classes) == 0 || left < wait {
			wait = left
		}
		classes = append(classes, class)
	}
	return classes, wait
}
