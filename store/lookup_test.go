package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// claimIDs claims lookups and returns their ids in that order.
func claimIDs(t *testing.T, s *Store, n int) []string {
	t.Helper()
	claims, err := s.ClaimLookups(t.Context(), n, time.Minute)
	must(t, err)
	ids := []string{}
	for _, l := range claims {
		ids = append(ids, l.AssetID)
	}
	return ids
}

func inboxPending(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	return query[int](t, pool, `SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL`)
}

func TestLookupsAreClaimedByUrgencyOnce(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	a, b := New(pool, "a"), New(pool, "b")
	for _, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Webhook, grant.Detail, grant.Manual} {
		must(t, a.RequestLookups(t.Context(), swept(), class, false, []state.Ref{{ID: string(class)}, {ID: string(class)}}))
	}
	if got, want := claimIDs(t, a, 2), []string{"webhook", "manual"}; !gocmp.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	if got, want := claimIDs(t, b, 2), []string{"detail", "sweep"}; !gocmp.Equal(got, want) {
		t.Errorf("the other replica claimed %v, want %v", got, want)
	}
	clock.advance(59 * time.Second)
	if got, want := claimIDs(t, b, 9), []string{"backfill"}; !gocmp.Equal(got, want) {
		t.Errorf("while the leases last, claimed %v, want %v", got, want)
	}
	if wait, found, err := b.NextLookup(t.Context()); err != nil || !found || wait != time.Second {
		t.Errorf("the next lookup comes due in %s, %t, %v; want when the first lease ends", wait, found, err)
	}
	clock.advance(2 * time.Second)
	got := claimIDs(t, b, 9)
	slices.Sort(got)
	if want := []string{"detail", "manual", "sweep", "webhook"}; !gocmp.Equal(got, want) {
		t.Errorf("after the leases, claimed %v, want %v", got, want)
	}
}

func TestNothingToLookUp(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	if _, found, err := s.NextLookup(t.Context()); err != nil || found {
		t.Errorf("something is due: %v", err)
	}
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, nil))
}

// Type and link of a lookup come from the mirror; those of an event are used only for an asset that the mirror does not
// have. The task comes from the inbox.
func TestLookupIsFilled(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"))
	must(t, s.RequestLookups(t.Context(), state.Observation{Kind: "sweep", RunID: 3}, grant.Sweep, true, []state.Ref{{ID: "x"}}))
	forged := Event{Name: "asset_added", AssetID: "x", AssetType: "video", Self: "https://cmp.test/videos/x", SourceTask: "task-1"}
	storeEvent(t, s, forged)
	got := claimOne(t, s)
	got.InboxID = 0
	want := state.Lookup{
		AssetID: "x", Type: "image", Self: "https://cmp.test/images/x", Mirrored: true, Class: grant.Webhook, Requested: 2, Gone: true,
		Observation: state.Observation{Kind: "sweep", RunID: 3, Class: grant.Webhook}, SourceTask: "task-1", Attempts: 1,
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
	forged.AssetID = "y"
	storeEvent(t, s, forged)
	if got := claimOne(t, s); got.Type != "video" || got.Self != forged.Self || got.Mirrored {
		t.Errorf("the lookup of an unknown asset is %+v", got)
	}
}

// Promise 9 at its narrowest: the claim counts an event that was stored while it runs, though it does not see the event.
func TestEventDuringTheClaimIsProcessed(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	l := claimOne(t, s)
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	l.Requested++ // what the claim returns when the second event commits just before it locks the row
	applyFetched(t, s, l, reading(summary("x"), second(1)), nil)
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 || inboxPending(t, pool) != 0 {
		t.Errorf("%d lookups and %d events left", n, inboxPending(t, pool))
	}
}

// Promise 9: a reading that comes after its lease, when another worker has finished the lookup, does not finish later
// requests.
func TestLateReadingFinishesNoLaterRequest(t *testing.T) {
	pool := pgtest.Pool(t)
	s, other := New(pool, "a"), New(pool, "b")
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	late := claimOne(t, s)
	exec(t, pool, `UPDATE damsync.lookup SET lease_until = clock_timestamp() - interval '1 second'`)
	applyFetched(t, other, claimOne(t, other), reading(summary("x"), second(2)), nil)
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	applyFetched(t, s, late, reading(summary("x"), second(1)), nil)
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup WHERE requested > done`); n != 1 || inboxPending(t, pool) != 1 {
		t.Errorf("%d lookups and %d events are pending", n, inboxPending(t, pool))
	}
}

func TestGoneIsAppliedOnlyWhenNotOlder(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(5), everything("brand"), summary("x"))
	place(t, s, "brand")
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "x"}}))
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(4), everything("brand")))
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n != 0 {
		t.Error("an older 404 removed an asset that was read since")
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
		t.Error("the lookup is not finished")
	}
	l := listen(t, s)
	l.expect(state.Topics()...)
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "x"}}))
	l.expect(state.TopicLookup)
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(6), everything("brand")))
	l.expect(state.TopicGuard, state.TopicPlacement)
	got := lines(t, pool, `SELECT concat_ws(' ', asset_id, desired_present, guard, desired_reason) FROM damsync.placement`)
	if want := []string{"x f waiting does not belong there"}; !gocmp.Equal(got, want) {
		t.Errorf("placements %v, want %v", got, want)
	}
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "never-known"}}))
	l.expect(state.TopicLookup)
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(6), everything("brand")))
	l.expect(state.TopicGuard) // a wave may have waited for the suspect
}

// A 404 at the address that an event gave proves no removal of an asset that a page has added meanwhile.
func TestGoneOfAnAssetThatHasCome(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_removed", AssetID: "x", AssetType: "video"})
	unknown := claimOne(t, s)
	apply(t, s, second(1), nil, summary("x"))
	if err := s.ApplyGone(t.Context(), unknown, second(2), nothing("brand")); !errors.Is(err, state.ErrMirrored) {
		t.Errorf("got %v", err)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n != 0 || inboxPending(t, pool) != 1 {
		t.Errorf("%d assets are removed, %d events pending", n, inboxPending(t, pool))
	}
	must(t, s.FailLookup(t.Context(), unknown, state.Failure{Class: "", Reason: "", After: 0}, false))
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(2), nothing("brand")))
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n != 1 || inboxPending(t, pool) != 0 {
		t.Errorf("%d assets are removed, %d events pending, after the asset's own 404", n, inboxPending(t, pool))
	}
}

// No lookup is put back for longer than the longest wait.
func TestLongestWait(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	s := New(pool, "a")
	want1(t, s, "x")
	must(t, s.FailLookup(t.Context(), claimOne(t, s), state.Failure{Class: "contradiction", Reason: "not yet", After: 2 * state.LongestWait}, true))
	for range 2 {
		if got := claimIDs(t, s, 9); len(got) != 0 {
			t.Errorf("claimed %v before it is due", got)
		}
	}
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait != state.LongestWait {
		t.Errorf("the lookup comes due in %s, %t, %v", wait, found, err)
	}
	clock.advance(state.LongestWait)
	claimOne(t, s)
}

func TestFailedLookup(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	s := New(pool, "a")
	want1(t, s, "x")
	must(t, s.FailLookup(t.Context(), claimOne(t, s), state.Failure{Class: "temporary", Reason: "bad \x00gateway", After: time.Minute}, true))
	if got := claimIDs(t, s, 9); len(got) != 0 {
		t.Errorf("due at once: %v", got)
	}
	if got := lines(t, pool, `SELECT concat_ws(' ', asset_id, error_class, error, attempts) FROM report.failures`); !gocmp.Equal(got, []string{"x temporary bad �gateway 1"}) {
		t.Errorf("failures %v", got)
	}
	// A poll that misses the asset again does not spend a request each time.
	must(t, s.RequestLookups(t.Context(), polled(), grant.Sweep, true, []state.Ref{{ID: "x"}}))
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait != time.Minute {
		t.Errorf("due in %s, %t, %v", wait, found, err)
	}
	clock.advance(time.Minute)
	l := claimOne(t, s)
	if l.Attempts != 2 {
		t.Errorf("attempt %d", l.Attempts)
	}
	// A deferral by the quota is not the asset's failure; an event makes the lookup due at once.
	must(t, s.FailLookup(t.Context(), l, state.Failure{Class: "deferred", Reason: "", After: time.Hour}, false))
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	if l = claimOne(t, s); l.Attempts != 2 {
		t.Errorf("attempt %d after one that does not count", l.Attempts)
	}
	// An event during the attempt makes the next one due at once.
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	must(t, s.FailLookup(t.Context(), l, state.Failure{Class: "temporary", Reason: "", After: time.Hour}, true))
	l = claimOne(t, s)
	must(t, s.FailLookup(t.Context(), l, state.Failure{Class: "temporary", Reason: "", After: time.Hour}, true))
	if n, err := s.Retry(t.Context(), ""); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	applyFetched(t, s, claimOne(t, s), reading(summary("x"), second(1)), nil)
	if n := query[int](t, pool, `SELECT count(*) FROM report.failures`); n != 0 {
		t.Errorf("%d failures left", n)
	}
}

// An asset that was read within the second of its last change is read once more.
func TestDetailReadWithinItsGraceIsReadOnceMore(t *testing.T) {
	now := soon()
	pool, clock := fakeClock(t, now)
	s := New(pool, "a")
	want1(t, s, "x")
	applyFetched(t, s, claimOne(t, s), reading(summary("x"), now, func(r *state.Fetched) { r.GraceOver = false }), nil)
	requestedAgain := func(want int) {
		t.Helper()
		if n, err := s.RequestWithinGrace(t.Context(), polled(), 2*time.Second); err != nil || n != want {
			t.Errorf("requested %d, %v, want %d", n, err, want)
		}
	}
	requestedAgain(0)
	if n, err := s.RequestWithinGrace(t.Context(), polled(), 4*time.Second); err != nil || n != 0 {
		t.Errorf("requested %d that are too new, %v", n, err)
	}
	clock.advance(3 * time.Second)
	requestedAgain(1)
	requestedAgain(0)
	applyFetched(t, s, claimOne(t, s), reading(summary("x"), now.Add(3*time.Second)), nil)
	requestedAgain(0)
	if got := lines(t, pool, `SELECT grace_over::text FROM damsync.asset_detail`); !gocmp.Equal(got, []string{"true"}) {
		t.Errorf("grace_over %v", got)
	}
}

// A new expiry date changes no placement until it passes, but wakes the wait for it.
func TestNewExpiryWakes(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	l := listen(t, s)
	l.expect(state.Topics()...)
	now, err := s.Now(t.Context())
	must(t, err)
	for i, expires := range []time.Duration{time.Hour, 2 * time.Hour} {
		want1(t, s, "x")
		l.expect(state.TopicLookup)
		at := now.Add(expires)
		applyFetched(t, s, claimOne(t, s), reading(summary("x"), now.Add(time.Duration(i)), func(r *state.Fetched) { r.Detail.ExpiresAt = &at }), nothing("brand"))
		l.expect(state.TopicPlacement)
	}
}

// A lookup for a deeper level explains no difference of counts, however long it waits.
func TestOpenLookupsAreThoseThatCount(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("known"), summary("suspect"))
	must(t, s.RequestLookups(t.Context(), swept(), grant.Detail, false, []state.Ref{{ID: "known"}}))
	open := func() int {
		n, err := s.CountOpenLookups(t.Context(), 2)
		must(t, err)
		return n
	}
	if n := open(); n != 0 {
		t.Errorf("%d open, want none", n)
	}
	must(t, s.RequestLookups(t.Context(), swept(), grant.Sweep, true, []state.Ref{{ID: "suspect"}}))
	if n := open(); n != 1 {
		t.Errorf("%d open, want the suspect", n)
	}
	want1(t, s, "new")
	want1(t, s, "newer")
	if n := open(); n != 2 {
		t.Errorf("%d open, want at most 2", n)
	}
}
