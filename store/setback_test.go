package store

import (
	"testing"
	"time"

	"damsync/internal/state"
)

// After the clock was set back, what was leased, paused and put back by the wrong one does
// not wait for it to come round again.
func TestClockSetBackStrandsNothing(t *testing.T) {
	_, clock, s := planned(t, "claimed", "failed")
	clock.advance(30 * 24 * time.Hour)
	work := claimWork(t, s, "brand", 9)
	for _, w := range work {
		if w.AssetID == "failed" {
			must(t, s.FailPlacement(t.Context(), w, "invalid", "too long", time.Hour, true))
		}
	}
	if _, err := s.PauseTarget(t.Context(), "brand", "throttled", time.Hour); err != nil {
		t.Fatal(err)
	}
	clock.advance(-30 * 24 * time.Hour)
	if wait, any, err := s.NextPlacement(t.Context(), "brand"); err != nil || !any || wait != 0 {
		t.Errorf("due in %s, %t, %v", wait, any, err)
	}
	if upcoming, err := s.UpcomingPuts(t.Context(), "brand", 9); err != nil || len(upcoming) != 2 {
		t.Errorf("upcoming %v, %v", upcoming, err)
	}
	if st := status(t, s.pool, LedgerConfig{PerMonth: 1}).Targets; st[0].PausedUntil != nil {
		t.Errorf("paused until %s", st[0].PausedUntil)
	}
	if got := len(claimWork(t, s, "brand", 9)); got != 2 {
		t.Errorf("%d of 2 can be claimed", got)
	}
	if pause, err := s.PauseTarget(t.Context(), "brand", "down", 0); err != nil || pause > time.Minute {
		t.Errorf("paused for %s, %v", pause, err)
	}
}

// Retry ends what a wrong clock has left, and takes nothing from who works.
func TestRetryEndsVoidLeases(t *testing.T) {
	pool, _, s := planned(t, "void", "working")
	var working state.Work
	for _, w := range claimWork(t, s, "brand", 9) {
		if w.AssetID == "working" {
			working = w
		}
	}
	exec(t, pool, `UPDATE damsync.placement SET lease_until = lease_until + interval '1 day' WHERE asset_id = 'void'`)
	if n, err := s.Retry(t.Context(), "brand"); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	got := lines(t, pool, `SELECT asset_id FROM damsync.placement WHERE lease_until IS NOT NULL`)
	if len(got) != 1 || got[0] != "working" {
		t.Errorf("leased: %v", got)
	}
	must(t, s.FinishPlacement(t.Context(), working, done(working)))
}

// A back-off or a pause that is asked for is kept within what a set-back clock would void.
func TestWaitsAreBounded(t *testing.T) {
	_, _, s := planned(t, "x")
	w := claimOneWork(t, s, "brand")
	must(t, s.FailPlacement(t.Context(), w, "invalid", "", 100*time.Hour, true))
	if wait, _, err := s.NextPlacement(t.Context(), "brand"); err != nil || wait != maxBackOff {
		t.Errorf("due in %s, %v", wait, err)
	}
	if pause, err := s.PauseTarget(t.Context(), "brand", "Retry-After of a day", 24*time.Hour); err != nil || pause != maxLease {
		t.Errorf("paused for %s, %v", pause, err)
	}
}
