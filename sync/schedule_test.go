package sync

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
)

func TestNextDue(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hourly, err := parseSchedule("sweep", "@hourly")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		last time.Time
		want time.Duration
	}{
		{"never", time.Time{}, 0},
		{"overdue", now.Add(-3 * time.Hour), 0},
		{"since the last full hour", now.Add(-time.Minute), 0},
		{"in an hour", now, time.Hour},
	} {
		if got := nextDue(hourly, state.ObservationState{LastSuccess: c.last}, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := parseSchedule("sweep", "every day"); err == nil {
		t.Error("a schedule that is none is accepted")
	}
}

// However long an outage lasts, it must not eat the month: an attempt of the leader costs up to five
// requests.
func TestOutageCostsLittle(t *testing.T) {
	var waited time.Duration
	attempts := 0
	for waited < 24*time.Hour {
		attempts++
		waited += leaderDelay(attempts, fmt.Errorf("list assets: %w", cmp.ErrServer))
	}
	if attempts > 700 {
		t.Errorf("%d attempts a day", attempts)
	}
	waited, attempts = 0, 0
	for waited < 30*24*time.Hour {
		attempts++
		waited += leaderDelay(attempts, fmt.Errorf("audit: %w", audit.ErrUncountable))
	}
	if attempts > 150 {
		t.Errorf("a library that cannot be counted is counted %d times a month", attempts)
	}
	if d := leaderDelay(50, errors.New("database away")); d > 30*time.Second {
		t.Errorf("a database that is back is not noticed for %s", d)
	}
	if d := leaderDelay(1, ErrTooManySuspects); d < 2*time.Minute {
		t.Errorf("a sweep that missed too much is repeated after %s", d)
	}
}

// An outage is found out with few lookups, a single broken asset stops nothing, and a spent reserve stops all.
func TestBreaker(t *testing.T) {
	var b breaker
	outage := fmt.Errorf("read asset: %w", cmp.ErrServer)
	for range breakAfter - 1 {
		b.note(grant.Detail, outage)
	}
	if n, _ := b.allow(8); n != 8 {
		t.Errorf("%d allowed after a few failures", n)
	}
	b.note(grant.Detail, fmt.Errorf("read asset: %w", cmp.ErrNotFound)) // an answer
	for range breakAfter {
		b.note(grant.Detail, outage)
	}
	if n, wait := b.allow(8); n != 0 || wait <= 0 || wait > time.Second {
		t.Errorf("%d allowed, wait %s", n, wait)
	}
	b.until = time.Now()
	if n, _ := b.allow(8); n != 1 {
		t.Errorf("%d allowed to find out, want one", n)
	}
	b.note(grant.Detail, nil)
	if n, _ := b.allow(8); n != 8 {
		t.Errorf("%d allowed after an answer", n)
	}
	spent := &grant.Deferred{Until: time.Now().Add(time.Hour)}
	b.note(grant.Sweep, spent)
	if n, _ := b.allow(8); n != 8 {
		t.Error("what defers bulk work keeps webhooks waiting")
	}
	b.note(grant.Webhook, spent)
	if n, wait := b.allow(8); n != 0 || wait > time.Minute {
		t.Errorf("%d allowed, wait %s", n, wait)
	}
}

// Nothing that seems due and cannot be claimed makes a loop spin.
func TestClaimLoopDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		claims := 0
		err := e.claimLoop(ctx, newBell(), 4, claimer{
			claim: func(context.Context, int) ([]func(context.Context), error) { claims++; return nil, nil },
			next:  func(context.Context) (time.Duration, bool, error) { return 0, true, nil },
		})
		if err != nil || claims > 60 {
			t.Errorf("%d claims in a minute, %v", claims, err)
		}
	})
}
