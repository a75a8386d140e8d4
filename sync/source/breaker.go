package source

import (
	"errors"
	"sync"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/sync/loop"
)

// Breaker stops lookups while the library answers none of them: each attempt would cost requests of the month. From time
// to time it lets one through to try. It also remembers the classes that the quota refuses. The zero
// value is ready to use; its methods are safe for concurrent use.
type Breaker struct {
	mu       sync.Mutex
	failures int // in a row, whichever the asset
	until    time.Time
	since    time.Time // the first of them
	last     error     // the last of them
	deferred map[grant.Class]time.Time
}

// breakAfter is the number of failures in a row that are the library's rather than the assets'. Several assets can
// be broken for good, so one failure is not enough.
const breakAfter = 10

// Note records how a lookup of the given class ended.
func (b *Breaker) Note(class grant.Class, err error) {
	var deferred *grant.Deferred
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.As(err, &deferred):
		b.noteDeferred(class, deferred)
	case errors.Is(err, cmp.ErrTemporary), errors.Is(err, cmp.ErrAuth):
		b.last = err
		if b.failures == 0 {
			b.since = time.Now()
		}
		if b.failures++; b.failures >= breakAfter {
			b.until = time.Now().Add(loop.RetryDelay(b.failures-breakAfter+1, time.Minute))
		}
	default: // an answer, or a failure that is not the library's
		b.failures, b.until, b.last = 0, time.Time{}, nil
	}
}

// noteDeferred stops lookups of a class. When even webhooks are refused, no class has quota left.
func (b *Breaker) noteDeferred(class grant.Class, d *grant.Deferred) {
	until := time.Now().Add(loop.UntilDeferred(d))
	if class == grant.Webhook {
		b.failures, b.until = max(b.failures, breakAfter), until
		return
	}
	if b.deferred == nil {
		b.deferred = map[grant.Class]time.Time{}
	}
	b.deferred[class] = until
}

// Allow returns how many of n lookups may be tried now, and when none may, for how long.
func (b *Breaker) Allow(n int) (int, time.Duration) {
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

// Outage returns since when the library has answered no lookup, and the last failure. The error is nil while it
// answers, and while only the quota refuses.
func (b *Breaker) Outage() (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return time.Time{}, nil
	}
	return b.since, b.last
}

// DeferredClasses lists the classes that the quota refuses, and how long until the first of them is tried again.
func (b *Breaker) DeferredClasses() (classes []grant.Class, wait time.Duration) {
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
