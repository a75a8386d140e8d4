package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

func placements(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `SELECT concat_ws(' ', target, asset_id, desired_present, desired_path, desired_metadata, guard)
		FROM damsync.placement ORDER BY target, asset_id`)
}

// A change of the mirror and its placements are one transaction; generations only rise.
func TestDecisionsAreWrittenWithTheMirror(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	l := listen(t, s)
	l.expect(state.Topics()...)
	apply(t, s, second(1), everything("brand"), summary("x"), summary("y"))
	l.expect(state.TopicPlacement)
	want := []string{`brand x t /x {"title": "Title of x"} open`, `brand y t /y {"title": "Title of y"} open`}
	if diff := gocmp.Diff(want, placements(t, pool)); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
	first := query[int64](t, pool, `SELECT max(desired_generation) FROM damsync.placement`)
	apply(t, s, second(2), everything("brand"), summary("x", titled("Oak")))
	if next := query[int64](t, pool, `SELECT desired_generation FROM damsync.placement WHERE asset_id = 'x'`); next <= first {
		t.Errorf("generation %d after %d", next, first)
	}
	// A decision that cannot be written rolls back the mirror's row, and only that row.
	broken := func(now time.Time, k state.Snapshot) state.Decisions {
		v := everything("brand")(now, k)
		if k.Asset.ID == "x" {
			v.Changes[0].Desired.Metadata = []byte(`{"n": 1e200000}`)
		}
		return v
	}
	got := apply(t, s, second(3), broken, summary("x", titled("Elm")), summary("y", titled("Ash")))
	if got.Changed != 1 || len(got.Failed) != 1 || got.Failed[0].AssetID != "x" {
		t.Errorf("applied %+v", got)
	}
	titles := lines(t, pool, `SELECT title || ' ' || (desired_metadata ->> 'title') FROM damsync.asset JOIN damsync.placement ON id = asset_id ORDER BY id`)
	if want := []string{"Oak Oak", "Ash Ash"}; !gocmp.Equal(titles, want) {
		t.Errorf("mirror and plan %v, want %v", titles, want)
	}
}

// A placement is as urgent as the requests of the observation that planned it, so that what a person asks for does not
// wait behind a backlog.
func TestUrgencyByClass(t *testing.T) {
	for _, class := range grant.Classes() {
		t.Run(string(class), func(t *testing.T) {
			s := New(pgtest.Pool(t), "a")
			apply(t, s, second(1), nil, summary("x"))
			must(t, s.PlanAssets(t.Context(), state.Observation{Kind: "test", Class: class}, []string{"x"}, everything("brand")))
			if got := claimOneWork(t, s, "brand").Class; got != class {
				t.Errorf("class %s, want %s", got, class)
			}
		})
	}
}

// A refresh of an asset that a person resyncs meanwhile plans with the urgency of the resync.
func TestUrgencyOfALookupRequestedTwice(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	apply(t, s, second(1), nil, summary("x"))
	must(t, s.RequestLookups(t.Context(), state.Observation{Kind: state.KindRefresh}, grant.Backfill, false, []state.Ref{{ID: "x"}}))
	must(t, s.RequestLookups(t.Context(), state.Observation{Kind: state.KindResync}, grant.Manual, false, []state.Ref{{ID: "x"}}))
	applyFetched(t, s, claimOne(t, s), reading(summary("x"), now(t, s)), everything("brand"))
	if got := claimOneWork(t, s, "brand").Class; got != grant.Manual {
		t.Errorf("class %s", got)
	}
}

func TestPlanningAgainWritesNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), everything("brand"), summary("x"), summary("y"), summary("z"))
	before := touches(t, pool)
	seen := 0
	evaluate := func(now time.Time, k state.Snapshot) state.Decisions {
		seen++
		return everything("brand")(now, k)
	}
	for after := ""; ; {
		last, err := s.PlanNext(t.Context(), state.Observation{Kind: "plan"}, after, 2, evaluate)
		must(t, err)
		if last == "" {
			break
		}
		after = last
	}
	if seen != 3 {
		t.Errorf("evaluated %d assets, want 3", seen)
	}
	if diff := gocmp.Diff(before, touches(t, pool)); diff != "" {
		t.Errorf("rows were touched (-before +after):\n%s", diff)
	}
	last, err := s.PlanNext(t.Context(), state.Observation{Kind: "plan"}, "", 2, everything("shop"))
	if err != nil || last != "y" {
		t.Errorf("planned up to %q, %v", last, err)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.placement WHERE target = 'shop'`); n != 2 {
		t.Errorf("%d placements at the new target, want the first 2", n)
	}
}

func TestPreviewWritesNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"), summary("y"))
	before := touches(t, pool)
	var got []string
	must(t, s.Preview(t.Context(), everything("brand"), func(k state.Snapshot, v state.Decisions) error {
		got = append(got, fmt.Sprint(k.Asset.ID, len(v.Changes)))
		return nil
	}))
	if want := []string{"x1", "y1"}; !gocmp.Equal(got, want) {
		t.Errorf("saw %v, want %v", got, want)
	}
	if diff := gocmp.Diff(before, touches(t, pool)); diff != "" {
		t.Errorf("rows were touched (-before +after):\n%s", diff)
	}
	full := errors.New("disk full")
	if err := s.Preview(t.Context(), everything("brand"), func(state.Snapshot, state.Decisions) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

// The rules get everything that the mirror knows of an asset, as long as it describes the asset as it is now.
func TestSnapshots(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	row := summary("x", func(a *library.Asset) { a.FolderID, a.FileLocation = "f", "/as listed" })
	apply(t, s, second(1), everything("brand"), row)
	exec(t, pool, `UPDATE damsync.asset SET source_task = 'task-1'`)
	want1(t, s, "x")
	field := library.FieldValue{ID: "f1", Name: "Market", Type: "text", Values: []string{"DE"}}
	r := reading(row, second(2), withFields(field))
	applyFetched(t, s, claimOne(t, s), r, nil)
	w := claimOneWork(t, s, "brand")
	must(t, s.FinishPlacement(t.Context(), w, done(w)))

	_, known, err := s.Snapshots(t.Context(), []string{"x", "unknown"})
	if err != nil || len(known) != 1 {
		t.Fatalf("known %+v, %v", known, err)
	}
	k := known[0]
	k.Asset.Raw, row.Raw, r.Detail.Raw, r.Detail.Hash = nil, nil, nil, library.Hash{}
	want := state.Snapshot{
		Asset: row, Folder: "/as listed", Detail: &r.Detail, Fields: &library.Fields{Values: []library.FieldValue{field}}, SourceTask: "task-1",
		Desired: map[string]state.Desired{"brand": {Present: true, Path: "/x", Version: "1", MetadataHash: w.Desired.MetadataHash, Guard: "open"}},
		Applied: map[string]state.Object{"brand": {State: "present", Path: "/x", Version: "1", MetadataHash: w.Desired.MetadataHash}},
	}
	if diff := gocmp.Diff(want, k); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	apply(t, s, second(3), nil, summary("x", modified(second(3))))
	if _, known, err = s.Snapshots(t.Context(), []string{"x"}); err != nil || known[0].Detail != nil || known[0].Fields != nil {
		t.Errorf("the detail of an earlier version still counts: %+v, %v", known, err)
	}
}

// Promise 4: an object is not removed before the removal guard has released its removal.
func TestRemovalsWaitAtTheGate(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	l := listen(t, s)
	l.expect(state.Topics()...)
	apply(t, s, second(1), everything("brand"), summary("there"), summary("working"), summary("not-there"))
	w := claimWork(t, s, "brand", 3)
	if len(w) != 3 {
		t.Fatalf("claimed %d", len(w))
	}
	for _, w := range w {
		switch w.AssetID {
		case "there":
			must(t, s.FinishPlacement(t.Context(), w, done(w)))
		case "not-there": // given up before the target was touched
			must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "source", Reason: "no bytes", After: 0}, true))
		}
	}
	must(t, s.PlanAssets(t.Context(), polled(), []string{"there", "working", "not-there"}, nothing("brand")))
	want := []string{"brand not-there f  {} open", "brand there f  {} waiting", "brand working f  {} waiting"}
	if diff := gocmp.Diff(want, placements(t, pool)); diff != "" {
		t.Errorf("placements (-want +got):\n%s", diff)
	}
	l.expect(state.TopicPlacement, state.TopicGuard, state.TopicPlacement)
	if got := claimWork(t, s, "brand", 9); len(got) != 1 || got[0].AssetID != "not-there" {
		t.Errorf("claimed %+v", got)
	}
	must(t, s.PlanAssets(t.Context(), polled(), []string{"there", "working"}, everything("brand")))
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.placement WHERE guard <> 'open'`); n != 0 {
		t.Errorf("%d placements that are desired again are still guarded", n)
	}
}

// Keeping an object that no longer belongs there does not wait for the removal guard.
func TestUnguardedRemoval(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), everything("brand"), summary("x"))
	place(t, s, "brand")
	keep := func(now time.Time, k state.Snapshot) state.Decisions {
		v := nothing("brand")(now, k)
		v.Changes[0].Guarded = false
		return v
	}
	must(t, s.PlanAssets(t.Context(), polled(), []string{"x"}, keep))
	if got := placements(t, pool); !gocmp.Equal(got, []string{"brand x f  {} open"}) {
		t.Errorf("placements %v", got)
	}
}

func TestUrgencyOfAPendingPlacementIsKept(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"))
	urgency := func(class grant.Class, path string) int {
		t.Helper()
		must(t, s.PlanAssets(t.Context(), state.Observation{Kind: "test", Class: class}, []string{"x"}, at("brand", func(state.Snapshot) string { return path })))
		return query[int](t, pool, `SELECT urgency FROM damsync.placement`)
	}
	if got := []int{urgency(grant.Sweep, "/1"), urgency(grant.Incremental, "/2"), urgency(grant.Manual, "/3"), urgency(grant.Webhook, "/4"), urgency(grant.Sweep, "/5")}; !gocmp.Equal(got, []int{5, 2, 1, 0, 0}) {
		t.Errorf("urgencies %v", got)
	}
	place(t, s, "brand")
	if got := urgency(grant.Sweep, "/6"); got != 5 {
		t.Errorf("urgency %d of new bulk work", got)
	}
}

// What a rule has to know is requested once, even when the rule needs it again meanwhile.
func TestNeedsAskForOneLookup(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	details, fields := needing(library.LevelDetail), needing(library.LevelFields)
	apply(t, s, second(1), details, summary("x"))
	apply(t, s, second(2), details, summary("x", titled("Oak")))
	want := wanted{Type: "image", Self: "https://cmp.test/images/x", Class: "detail", Observation: "sweep", Urgency: 3, Requested: 1, Due: true}
	if diff := gocmp.Diff(want, lookupOf(t, pool, "x")); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
	// A change while the asset is being read makes it read again.
	l := claimOne(t, s)
	apply(t, s, second(3), details, summary("x", modified(second(3))))
	applyFetched(t, s, l, reading(summary("x"), second(2)), details)
	l = claimOne(t, s)
	// A rule that needs what it has been given does not cause an endless loop.
	applyFetched(t, s, l, reading(summary("x", modified(second(3))), second(4)), details)
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
		t.Errorf("%d lookups for a detail that is known", n)
	}
	// A rule that reads deeper than was read requests the asset again.
	if _, err := s.PlanNext(t.Context(), polled(), "", 10, fields); err != nil {
		t.Fatal(err)
	}
	applyFetched(t, s, claimOne(t, s), reading(summary("x", modified(second(3))), second(5)), fields)
	applyFetched(t, s, claimOne(t, s), reading(summary("x", modified(second(3))), second(6), withFields()), fields)
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
		t.Errorf("%d lookups for fields that are known", n)
	}
}

func TestDecisionFailuresAreRecordedAndCleared(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	failing := func(_ time.Time, k state.Snapshot) state.Decisions {
		return state.Decisions{Failed: []state.DecisionFailure{{Target: "brand", Reason: "no \x00path"}, {Target: "shop", Reason: "no when"}}}
	}
	apply(t, s, second(1), failing, summary("x"), summary("y"))
	failures := func() []string {
		return lines(t, pool, `SELECT concat_ws(' ', kind, target, asset_id, error_class, error) FROM report.failures ORDER BY asset_id, target`)
	}
	want := []string{"decision brand x invalid no �path", "decision shop x invalid no when", "decision brand y invalid no �path", "decision shop y invalid no when"}
	if diff := gocmp.Diff(want, failures()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	must(t, s.PlanAssets(t.Context(), polled(), []string{"x"}, everything("brand")))
	if diff := gocmp.Diff(want[2:], failures()); diff != "" {
		t.Errorf("failures after a fix (-want +got):\n%s", diff)
	}
}

func TestExpired(t *testing.T) {
	now := soon()
	pool, _ := fakeClock(t, now)
	s := New(pool, "a")
	in := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	expire := func(id string, when time.Time) {
		want1(t, s, id)
		applyFetched(t, s, claimOne(t, s), reading(summary(id), second(1), func(r *state.Fetched) { r.Detail.ExpiresAt = &when }), everything("brand"))
	}
	if ids, next, err := s.Expired(t.Context(), []string{"brand"}, 9); err != nil || len(ids) != 0 || !next.IsZero() {
		t.Errorf("expired %v, next %s, %v", ids, next, err)
	}
	for i, id := range []string{"past", "now", "failing", "stale", "future", "later"} {
		expire(id, in([]int{-50, 0, -40, -40, 30, 39}[i]))
	}
	expire("moved", in(20))
	expire("moved", in(-5)) // a detail that comes after its placement
	exec(t, pool, `INSERT INTO damsync.decision_failure VALUES ('brand', 'failing', 'no path')`)
	apply(t, s, second(2), nil, summary("stale", modified(second(2))))
	ids, next, err := s.Expired(t.Context(), []string{"shop", "brand"}, 9)
	if err != nil || !gocmp.Equal(ids, []string{"moved", "now", "past"}) || !next.Equal(in(30)) {
		t.Errorf("expired %v, next %s, %v", ids, next, err)
	}
	if ids, _, err = s.Expired(t.Context(), []string{"brand"}, 1); err != nil || len(ids) != 1 {
		t.Errorf("expired %v of at most 1, %v", ids, err)
	}
	if ids, _, err = s.Expired(t.Context(), []string{"shop"}, 9); err != nil || len(ids) != 0 {
		t.Errorf("expired %v at a target that has none, %v", ids, err)
	}
	must(t, s.PlanAssets(t.Context(), state.Observation{Kind: "expiry"}, []string{"moved", "now", "past"}, nothing("brand")))
	if ids, _, err = s.Expired(t.Context(), []string{"brand"}, 9); err != nil || len(ids) != 0 {
		t.Errorf("expired %v after they were planned, %v", ids, err)
	}
}
