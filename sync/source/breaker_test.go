package source

import (
	"fmt"
	"testing"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
)

// An outage costs few lookups, a single broken asset stops nothing, and a spent reserve stops everything.
func TestBreaker(t *testing.T) {
	var b Breaker
	outage := fmt.Errorf("read asset: %w", cmp.ErrServer)
	for range breakAfter - 1 {
		b.Note(grant.Detail, outage)
	}
	if n, _ := b.Allow(8); n != 8 {
		t.Errorf("%d allowed after a few failures", n)
	}
	b.Note(grant.Detail, fmt.Errorf("read asset: %w", cmp.ErrNotFound)) // an answer
	for range breakAfter {
		b.Note(grant.Detail, outage)
	}
	if n, wait := b.Allow(8); n != 0 || wait <= 0 || wait > time.Second {
		t.Errorf("%d allowed, wait %s", n, wait)
	}
	b.until = time.Now()
	if n, _ := b.Allow(8); n != 1 {
		t.Errorf("%d allowed to find out, want one", n)
	}
	b.Note(grant.Detail, nil)
	if n, _ := b.Allow(8); n != 8 {
		t.Errorf("%d allowed after an answer", n)
	}
	spent := &grant.Deferred{Until: time.Now().Add(time.Hour)}
	b.Note(grant.Sweep, spent)
	if n, _ := b.Allow(8); n != 8 {
		t.Error("what defers bulk work keeps webhooks waiting")
	}
	b.Note(grant.Webhook, spent)
	if n, wait := b.Allow(8); n != 0 || wait > time.Minute {
		t.Errorf("%d allowed, wait %s", n, wait)
	}
}
