package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// planned returns a store on a fake clock with ids planned at target brand.
func planned(t *testing.T, ids ...string) (*pgxpool.Pool, *clock, *Store) {
	t.Helper()
	pool, clock := fakeClock(t, soon())
	s := New(pool, "a")
	var rows []library.Asset
	for _, id := range ids {
		rows = append(rows, summary(id))
	}
	apply(t, s, second(1), everything("brand"), rows...)
	return pool, clock, s
}

func replan(t *testing.T, s *Store, id, path string) {
	t.Helper()
	must(t, s.PlanAssets(t.Context(), polled(), []string{id}, at("brand", func(state.Snapshot) string { return path })))
}

func placementState(t *testing.T, pool *pgxpool.Pool, id string) string {
	t.Helper()
	return query[string](t, pool, `SELECT state FROM report.placements WHERE asset_id = $1`, id)
}

func TestWork(t *testing.T) {
	pool, _, s := planned(t, "x")
	want1(t, s, "x")
	applyFetched(t, s, claimOne(t, s), reading(summary("x"), second(2)), nil)
	w := claimOneWork(t, s, "brand")
	if w.Generation == 0 || w.DesiredAt.IsZero() {
		t.Errorf("generation %d, planned at %s", w.Generation, w.DesiredAt)
	}
	generation := w.Generation
	w.Generation, w.DesiredAt, w.Desired.MetadataHash = 0, time.Time{}, library.Hash{}
	w.ModifiedAt = w.ModifiedAt.UTC()
	want := state.Work{
		Target: "brand", AssetID: "x", Type: "image", Title: "Title of x", MIMEType: "image/png", ModifiedAt: second(-500), ExpectedSize: 7,
		Desired: state.Desired{Present: true, Path: "/x", Version: "1", Metadata: []byte(`{"title": "Title of x"}`)},
		Applied: state.Object{State: "absent"}, Upload: state.Upload{Session: []byte{}}, Attempts: 1, Class: grant.Sweep,
	}
	if diff := gocmp.Diff(want, w); diff != "" {
		t.Errorf("work (-want +got):\n%s", diff)
	}
	// Promise 2: the intent is committed before the work begins.
	intent := query[string](t, pool, `SELECT concat_ws(' ', intent_generation = desired_generation, intent_path) FROM damsync.placement`)
	if intent != "t /x" {
		t.Errorf("intent %q", intent)
	}
	w.Generation = generation
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	got := query[string](t, pool, `SELECT concat_ws(' ', state, applied_state, applied_path, applied_version, sha256, size, attempts) FROM report.placements`)
	if want := "in_sync present /x 1 00ff 7 0"; got != want {
		t.Errorf("placement %q, want %q", got, want)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.placement WHERE intent_generation IS NULL AND lease_owner IS NULL AND remote_ref = 'ref-x'
		AND remote_token = 'token-x' AND remote_hash = 'md5:00ff'`); n != 1 {
		t.Error("the intent is left open")
	}
	if _, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || found {
		t.Errorf("there is still work: %v", err)
	}
	if has, err := s.HasPlacements(t.Context(), "brand"); err != nil || !has {
		t.Errorf("nothing is recorded at brand: %v", err)
	}
	if has, err := s.HasPlacements(t.Context(), "shop"); err != nil || has {
		t.Errorf("something is recorded at shop: %v", err)
	}
}

// However many replicas claim at once, each placement goes to one of them.
func TestPlacementsAreClaimedOnce(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	const n = 120
	apply(t, s, second(1), everything("brand"), pages(n, n)[0]...)
	var mu sync.Mutex
	var claimed []string
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			replica := New(pool, fmt.Sprint(i))
			for {
				work, err := replica.ClaimPlacements(t.Context(), "brand", 7, time.Hour)
				if err != nil {
					t.Error(err)
				}
				if len(work) == 0 {
					return
				}
				mu.Lock()
				for _, w := range work {
					claimed = append(claimed, w.AssetID)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(claimed)
	if got := len(slices.Compact(claimed)); len(claimed) != got || got < n-27 {
		t.Errorf("%d claims of %d placements, want each of %d once", len(claimed), got, n)
	}
	// A row that another replica had locked may be left for later, but is not lost.
	left := len(claimWork(t, s, "brand", n))
	if len(claimed)+left != n {
		t.Errorf("%d claimed and %d left of %d", len(claimed), left, n)
	}
}

func TestUrgentPlacementsGoFirst(t *testing.T) {
	_, _, s := planned(t, "bulk1", "bulk2")
	apply(t, s, second(1), nil, summary("edited"))
	must(t, s.PlanAssets(t.Context(), state.Observation{Kind: "webhook", Class: grant.Webhook}, []string{"edited"}, everything("brand")))
	work := claimWork(t, s, "brand", 1)
	if len(work) != 1 || work[0].AssetID != "edited" || work[0].Class != grant.Webhook {
		t.Errorf("claimed %+v", work)
	}
}

// A placement that is planned again during the work stays dirty and is due at once.
func TestPlannedMeanwhileStaysDirty(t *testing.T) {
	pool, _, s := planned(t, "x")
	w := claimOneWork(t, s, "brand")
	replan(t, s, "x", "/elsewhere")
	if got := claimWork(t, New(pool, "b"), "brand", 9); len(got) != 0 {
		t.Fatalf("two work on one placement: %+v", got)
	}
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	if got := placementState(t, pool, "x"); got != "pending" {
		t.Errorf("state %s", got)
	}
	w = claimOneWork(t, s, "brand")
	if w.Desired.Path != "/elsewhere" || w.Applied.Path != "/x" || w.IntentWasOpen {
		t.Errorf("work %+v", w)
	}
	replan(t, s, "x", "/third")
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "temporary", Reason: "timeout", After: time.Hour}, true))
	if got := query[string](t, pool, `SELECT concat_ws(' ', state, error_class, attempts) FROM report.placements`); got != "pending  0" {
		t.Errorf("the failure of an earlier plan counts for the next: %q", got)
	}
	if w = claimOneWork(t, s, "brand"); w.Desired.Path != "/third" {
		t.Errorf("work %+v", w)
	}
}

func TestFailedPlacementWaits(t *testing.T) {
	pool, clock, s := planned(t, "x")
	w := claimOneWork(t, s, "brand")
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "temporary", Reason: "bad \x00gateway", After: time.Minute}, false))
	got := lines(t, pool, `SELECT concat_ws(' ', kind, target, asset_id, error_class, error, attempts) FROM report.failures`)
	if want := []string{"placement brand x temporary bad �gateway 1"}; !gocmp.Equal(got, want) || placementState(t, pool, "x") != "failed" {
		t.Errorf("failures %v, want %v", got, want)
	}
	if wait, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || !found || wait != time.Minute {
		t.Errorf("due in %s, %t, %v", wait, found, err)
	}
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed at once: %+v", got)
	}
	clock.advance(time.Minute)
	w = claimOneWork(t, s, "brand")
	if w.Attempts != 2 || !w.IntentWasOpen || w.IntentPath != "/x" {
		t.Errorf("work %+v", w)
	}
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "temporary", Reason: "", After: time.Hour}, false))
	if n, err := s.Retry(t.Context(), "shop"); err != nil || n != 0 {
		t.Errorf("retried %d of another target, %v", n, err)
	}
	if n, err := s.Retry(t.Context(), "brand"); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	if w = claimOneWork(t, s, "brand"); w.Attempts != 1 {
		t.Errorf("attempt %d after retry", w.Attempts)
	}
}

// Promise 2: after an attempt of unknown outcome, each attempt looks at the target first until one has succeeded in
// looking; a failure before that must not hide it.
func TestOpenIntentIsLookedAt(t *testing.T) {
	_, clock, s := planned(t, "x")
	claimOneWork(t, s, "brand") // killed: nothing is recorded
	clock.advance(2 * time.Minute)
	w := claimOneWork(t, s, "brand")
	if !w.IntentWasOpen || w.IntentPath != "/x" {
		t.Fatalf("the intent of the killed attempt is not shown: %+v", w)
	}
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "unavailable", Reason: "no route to host", After: 0}, true))
	w = claimOneWork(t, s, "brand")
	if !w.IntentWasOpen {
		t.Fatal("an attempt that could not look closed the intent")
	}
	must(t, s.ReturnPlacement(t.Context(), w, 0))
	if w = claimOneWork(t, s, "brand"); !w.IntentWasOpen || w.Attempts != 3 {
		t.Fatalf("after a return: %+v", w)
	}
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	replan(t, s, "x", "/elsewhere")
	if w = claimOneWork(t, s, "brand"); w.IntentWasOpen {
		t.Error("a finished placement has an open intent")
	}
	must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: "source", Reason: "no bytes", After: 0}, true))
	if w = claimOneWork(t, s, "brand"); w.IntentWasOpen {
		t.Error("an attempt that touched nothing left an open intent")
	}
}

// A worker that lost the lease records nothing, also when its own process claimed the placement again.
func TestLeaseLost(t *testing.T) {
	for _, by := range []string{"a", "b"} {
		t.Run("taken over by "+by, func(t *testing.T) {
			pool, clock, s := planned(t, "x")
			w := claimOneWork(t, s, "brand")
			clock.advance(30 * time.Second)
			must(t, s.ExtendPlacement(t.Context(), w, time.Minute))
			clock.advance(50 * time.Second)
			if got := claimWork(t, New(pool, by), "brand", 1); len(got) != 0 {
				t.Fatal("an extended lease was taken over")
			}
			clock.advance(11 * time.Second)
			next := claimOneWork(t, New(pool, by), "brand")
			for name, err := range map[string]error{
				"extend": s.ExtendPlacement(t.Context(), w, time.Hour),
				"record": s.RecordStep(t.Context(), w, done(w)),
				"save":   s.SaveUpload(t.Context(), w, state.Upload{Session: []byte("stale")}),
				"finish": s.FinishPlacement(t.Context(), w, done(w)),
				"fail":   s.FailPlacement(t.Context(), w, state.Failure{Class: "temporary", Reason: "", After: time.Hour}, false),
			} {
				if !errors.Is(err, state.ErrLeaseLost) {
					t.Errorf("%s: %v", name, err)
				}
			}
			must(t, s.ReturnPlacement(t.Context(), w, time.Hour))
			must(t, New(pool, by).FinishPlacement(t.Context(), next, done(next)))
			if got := placementState(t, pool, "x"); got != "in_sync" {
				t.Errorf("state %s", got)
			}
		})
	}
}

// A step that is recorded is not repeated after a crash.
func TestRecordedStep(t *testing.T) {
	_, clock, s := planned(t, "x")
	w := claimOneWork(t, s, "brand")
	step := done(w)
	step.Path = "/damsync-moving/x"
	must(t, s.RecordStep(t.Context(), w, step))
	clock.advance(2 * time.Minute)
	w = claimOneWork(t, s, "brand")
	step.Generation = 0 // only a finish applies a generation
	if diff := gocmp.Diff(step, w.Applied); diff != "" || !w.IntentWasOpen {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}

// The progress of an upload survives the process and a failure, also when the asset has changed meanwhile, until the
// placement is finished.
func TestUpload(t *testing.T) {
	pool, clock, s := planned(t, "x")
	other := New(pool, "b")
	claim := func(s *Store, why string, want state.Upload) state.Work {
		t.Helper()
		w := claimOneWork(t, s, "brand")
		if diff := gocmp.Diff(want, w.Upload, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
		return w
	}
	w := claim(s, "at first", state.Upload{})
	must(t, s.SaveUpload(t.Context(), w, state.Upload{Session: []byte("part 1"), ETag: `"e1"`}))
	second := state.Upload{Session: []byte("part 2"), Version: "v1", ETag: `"e1"`}
	must(t, s.SaveUpload(t.Context(), w, second))
	clock.advance(2 * time.Minute)
	w = claim(other, "after a kill", second)
	must(t, other.FailPlacement(t.Context(), w, state.Failure{Class: "temporary", Reason: "reset", After: 0}, false))
	replan(t, s, "x", "/elsewhere")
	w = claim(s, "after a failure and a new plan", second)
	if err := s.SaveUpload(t.Context(), w, state.Upload{Session: make([]byte, 64<<10+1)}); err == nil {
		t.Error("a session of more than 64 KiB is kept")
	}
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	replan(t, s, "x", "/once-more")
	w = claim(s, "after the end", state.Upload{})
	must(t, s.SaveUpload(t.Context(), w, second))
	must(t, s.SaveUpload(t.Context(), w, state.Upload{}))
	must(t, s.ReturnPlacement(t.Context(), w, 0))
	claim(s, "after it was forgotten", state.Upload{})
}

func TestPausedTarget(t *testing.T) {
	pool, clock, s := planned(t, "x")
	pause := func(least, want time.Duration) {
		t.Helper()
		if got, err := s.PauseTarget(t.Context(), "brand", "no \x00route", least); err != nil || got != want {
			t.Errorf("paused for %s, %v, want %s", got, err, want)
		}
	}
	pause(0, time.Second)
	pause(0, time.Second)               // of the same trouble
	pause(3*time.Second, 3*time.Second) // the target asked for more
	pause(time.Second, 3*time.Second)   // never shortened
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed at a paused target: %+v", got)
	}
	if wait, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || !found || wait != 3*time.Second {
		t.Errorf("due in %s, %t, %v", wait, found, err)
	}
	for _, seconds := range []int{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		clock.advance(5 * time.Minute)
		pause(0, time.Duration(seconds)*time.Second)
	}
	clock.advance(5 * time.Minute)
	w := claimOneWork(t, s, "brand")
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	if wait, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || found {
		t.Errorf("nothing is dirty, yet something is due in %s, %v", wait, err)
	}
	pause(0, time.Second) // a success has ended the growth
	if _, err := s.Retry(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.target WHERE paused_until IS NULL AND attempts = 0`); n != 1 {
		t.Error("retry did not end the pause")
	}
}

// The success of work that began before a pause does not end the pause.
func TestSuccessDuringAPauseLeavesIt(t *testing.T) {
	_, _, s := planned(t, "x", "y")
	w := claimWork(t, s, "brand", 1)[0]
	if _, err := s.PauseTarget(t.Context(), "brand", "throttled", time.Minute); err != nil {
		t.Fatal(err)
	}
	must(t, s.FinishPlacement(t.Context(), w, done(w)))
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed at a paused target: %+v", got)
	}
}

func TestTargetWithAProblemDoesNotRun(t *testing.T) {
	pool, _, s := planned(t, "x")
	for range 2 {
		must(t, s.SetTargetProblem(t.Context(), "brand", "folder \x00/Brand does not exist"))
	}
	if got := claimWork(t, s, "brand", 9); len(got) != 0 {
		t.Errorf("claimed %+v", got)
	}
	if _, found, err := s.NextPlacement(t.Context(), "brand"); err != nil || found {
		t.Errorf("a target that does not run has work due: %v", err)
	}
	p, err := s.TargetPlan(t.Context(), "brand")
	if err != nil || p.Problem != "folder �/Brand does not exist" {
		t.Errorf("plan %+v, %v", p, err)
	}
	must(t, s.SetTargetProblem(t.Context(), "brand", ""))
	claimOneWork(t, s, "brand")
	if n := query[int](t, pool, `SELECT count(*) FROM report.failures`); n != 0 {
		t.Errorf("%d failures", n)
	}
}

func TestTargetPlan(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	l := listen(t, s)
	l.expect(state.Topics()...)
	if p, err := s.TargetPlan(t.Context(), "brand"); err != nil || !gocmp.Equal(p, state.TargetPlan{Name: "brand"}) {
		t.Errorf("a new target: %+v, %v", p, err)
	}
	epoch, err := s.Epoch(t.Context())
	must(t, err)
	must(t, s.SetTargetPlanned(t.Context(), "brand", []byte("rule"), epoch))
	l.expect(state.TopicGuard) // its wave is complete now
	want := state.TargetPlan{Name: "brand", Fingerprint: []byte("rule"), Epoch: epoch}
	if p, err := s.TargetPlan(t.Context(), "brand"); err != nil || !gocmp.Equal(p, want) {
		t.Errorf("plan %+v, %v, want %+v", p, err, want)
	}
	one, err := s.Instance(t.Context())
	must(t, err)
	if two, err := New(s.pool, "b").Instance(t.Context()); err != nil || one == "" || one != two {
		t.Errorf("instances %q and %q, %v", one, two, err)
	}
}

// Retry makes work due that waits for a quota which has been raised since.
func TestRetryOfWhatWasDeferred(t *testing.T) {
	_, _, s := planned(t, "x")
	must(t, s.ReturnPlacement(t.Context(), workOn(t, s, "x"), 5*time.Minute))
	if n, err := s.Retry(t.Context(), "brand"); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	workOn(t, s, "x")
}
