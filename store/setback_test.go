package store

import (
	"slices"
	"testing"
	"time"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// takeOver makes s the leader, as the engine does.
func takeOver(t *testing.T, s *Store) {
	t.Helper()
	if got, err := s.AcquireLease(t.Context(), state.LeaseLeader, time.Minute); err != nil || !got {
		t.Fatalf("leads %t, %v", got, err)
	}
}

// After the clock was set back, a new leader ends what was leased, paused and put back by the earlier clock, so
// that none of it waits for that time to come round again.
func TestClockSetBackStrandsNothing(t *testing.T) {
	_, clock, s := planned(t, "claimed", "failed")
	clock.advance(30 * 24 * time.Hour)
	for _, w := range claimWork(t, s, "brand", 9) {
		if w.AssetID == "failed" {
			must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "invalid", Reason: "too long", After: time.Hour}, true))
		}
	}
	if _, err := s.PauseTarget(t.Context(), "brand", "throttled", time.Hour); err != nil {
		t.Fatal(err)
	}
	clock.advance(-30 * 24 * time.Hour)
	takeOver(t, s)
	if wait, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || !found || wait != 0 {
		t.Errorf("due in %s, %t, %v", wait, found, err)
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

// A leader that stays the leader notices that the clock was set back when it renews its lease, and only then.
func TestLeaderNoticesThatTheClockWasSetBack(t *testing.T) {
	_, clock, s := planned(t, "x")
	takeOver(t, s)
	l := listen(t, s)
	l.expect(state.Topics()...)
	clock.advance(5 * time.Second)
	takeOver(t, s)
	must(t, s.Notify(t.Context(), state.TopicPlan))
	l.expect(state.TopicPlan) // and nothing before it
	claimOneWork(t, s, "brand")
	clock.advance(-24 * time.Hour)
	takeOver(t, s)
	l.expect(state.TopicLookup, state.TopicPlacement, state.TopicGuard)
	claimOneWork(t, s, "brand")
}

// What ends within the longest lease or back-off is left as it is.
func TestTakingOverLeavesWhatIsNotVoid(t *testing.T) {
	pool, _, s := planned(t, "working", "failed")
	for _, w := range claimWork(t, s, "brand", 9) {
		if w.AssetID == "failed" {
			must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "invalid", Reason: "", After: 2 * state.LongestWait}, true))
		} else {
			must(t, s.ExtendPlacement(t.Context(), w, 2*maxLease))
		}
	}
	want1(t, s, "failed")
	must(t, s.FailLookup(t.Context(), claimOne(t, s), state.Failure{Class: "contradiction", Reason: "", After: 2 * state.LongestWait}, true))
	want1(t, s, "working")
	must(t, s.ExtendLookup(t.Context(), claimOne(t, s), 2*maxLease))
	if _, err := s.StartRun(t.Context(), "sweep", "cron", 2*maxLease, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PauseTarget(t.Context(), "shop", "down", 2*maxLease); err != nil {
		t.Fatal(err)
	}
	waits := func() []string {
		return lines(t, pool, `SELECT concat_ws(' ', asset_id, next_attempt_at, lease_owner, lease_until) FROM damsync.placement
			UNION ALL SELECT concat_ws(' ', asset_id, next_attempt_at, lease_owner, lease_until) FROM damsync.lookup
			UNION ALL SELECT concat_ws(' ', kind, lease_owner, lease_until) FROM damsync.run
			UNION ALL SELECT concat_ws(' ', name, paused_until) FROM damsync.target ORDER BY 1`)
	}
	before := waits()
	takeOver(t, New(pool, "b"))
	if after := waits(); !slices.Equal(before, after) {
		t.Errorf("taking over made of\n%q\n%q", before, after)
	}
}

// Back-offs and pauses are kept within what a clock that is set back would make void.
func TestWaitsAreBounded(t *testing.T) {
	_, _, s := planned(t, "x")
	w := claimOneWork(t, s, "brand")
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "invalid", Reason: "", After: 100 * time.Hour}, true))
	if wait, _, err := s.NextPlacement(t.Context(), "brand"); err != nil || wait != state.LongestWait {
		t.Errorf("due in %s, %v", wait, err)
	}
	if pause, err := s.PauseTarget(t.Context(), "brand", "Retry-After of a day", 24*time.Hour); err != nil || pause != maxLease {
		t.Errorf("paused for %s, %v", pause, err)
	}
}

// A clock that ran ahead for a day and was set right leaves no lookup to wait until then: neither what was
// wanted, nor what failed, nor what a killed process had claimed.
func TestLookupsOfAClockThatWasAhead(t *testing.T) {
	right := soon()
	pool, clock := fakeClock(t, right.Add(24*time.Hour))
	s, killed := New(pool, "a"), New(pool, "b")
	want1(t, s, "leased")
	claimOne(t, killed)
	want1(t, s, "extended")
	extended := claimOne(t, killed)
	want1(t, s, "failed")
	must(t, s.FailLookup(t.Context(), claimOne(t, s), state.Failure{Class: "contradiction", Reason: "not yet", After: time.Hour}, true))
	want1(t, s, "wanted")

	clock.set(right)
	must(t, killed.ExtendLookup(t.Context(), extended, time.Minute))
	takeOver(t, s)
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait != 0 {
		t.Errorf("the next lookup comes due in %s, %t, %v; want at once", wait, found, err)
	}
	got := claimIDs(t, s, 9)
	slices.Sort(got)
	if want := []string{"failed", "leased", "wanted"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	clock.advance(61 * time.Second)
	if got := claimIDs(t, s, 9); !slices.Contains(got, "extended") {
		t.Errorf("claimed %v after the lease that was extended", got)
	}
}

// A clock that ran ahead for a day and was set right does not keep a run from being continued.
func TestRunOfAClockThatWasAhead(t *testing.T) {
	right := soon()
	pool, clock := fakeClock(t, right.Add(24*time.Hour))
	a, b := New(pool, "a"), New(pool, "b")
	run := startRun(t, a)
	clock.set(right)
	takeOver(t, b)
	if next := startRun(t, b); next.ID != run.ID || !next.Resumed {
		t.Errorf("run %+v", next)
	}
}

// Removals that were planned, and others let through, while the clock was ahead count as of now: they are
// recent for a minute and not until that time comes round again.
func TestWaveAfterTheClockWasSetBack(t *testing.T) {
	pool, clock, s := removing(t, 5, 1)
	exec(t, pool, `INSERT INTO damsync.removal (target, count, approved, at) SELECT 'brand', 5, false, fake.now()`)
	clock.advance(-24 * time.Hour)
	takeOver(t, s)
	if wave, _ := evaluate(t, s, answering(state.GuardWait)); wave.NewestAge != 0 || wave.Recent != 5 {
		t.Errorf("at once: wave %+v", wave)
	}
	clock.advance(RecentWindow)
	if wave, _ := evaluate(t, s, answering(state.GuardWait)); wave.NewestAge != RecentWindow || wave.Recent != 0 {
		t.Errorf("after a minute: wave %+v", wave)
	}
}

// A pause that only an earlier clock explains is not shown after a leader has taken over.
func TestStatusAfterTheClockWasSetBack(t *testing.T) {
	pool := pgtest.Pool(t)
	exec(t, pool, `INSERT INTO damsync.target (name, paused_until) VALUES ('brand', '2100-01-01')`)
	takeOver(t, New(pool, "a"))
	if got := status(t, pool, LedgerConfig{PerMonth: 1}, "brand").Targets[0].PausedUntil; got != nil {
		t.Errorf("paused until %s", got)
	}
}
