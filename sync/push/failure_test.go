package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"damsync/cmp"
	"damsync/dam"
	"damsync/dam/damtest/memory"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

// A download that keeps failing leaves the target alone, backs off, and has the asset read again at the second, fourth
// and eighth attempt: its promised size may be wrong.
func TestFailingDownloadBacksOff(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.host.Fail = fmt.Errorf("download: %w", cmp.ErrServer)
	r.Want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a")})
	lookups := map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 2, 8: 3, 9: 3}
	for attempt := 1; attempt <= 9; attempt++ {
		before := roomtest.Query[time.Time](r.Database, `SELECT clock_timestamp()`)
		r.push()
		r.failed("a", dam.ClassSource)
		if p := r.row("a"); p.Attempts != attempt || p.IntentOpen {
			t.Fatalf("attempt %d: %+v", attempt, p)
		}
		least := min(time.Second<<(attempt-1), 5*time.Minute) / 2
		if wait := roomtest.Query[time.Time](r.Database, `SELECT next_attempt_at FROM damsync.placement`).Sub(before); wait < least {
			t.Errorf("attempt %d: tried again after %s, want at least %s", attempt, wait, least)
		}
		if n := roomtest.Query[int](r.Database, `SELECT coalesce(sum(requested), 0) FROM damsync.lookup WHERE asset_id = 'a'`); n != lookups[attempt] {
			t.Errorf("attempt %d: %d lookups requested, want %d", attempt, n, lookups[attempt])
		}
		r.Hurry()
	}
	if wrote := r.meddler.wrote(); len(wrote) > 0 {
		t.Errorf("the target was asked for %v", wrote)
	}
	if paused := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.target WHERE attempts > 0`); paused != 0 {
		t.Error("the target waits, although the library is to blame")
	}
	r.host.Fail = nil
	r.push()
	r.inSync("a")
}

// Bytes of another size than the library promises are not put.
func TestBytesOfAnotherSizeAreNotPut(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.Mirror(roomtest.Asset("a"))
	r.Exec(`INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, public, width, height, size, version_number,
			version_id, owner_id, raw, hash, read_at, of_modified_at, grace_over)
		SELECT id, '', '', '', '{}', false, 0, 0, 5, 1, 'v1', '', '{}', '', read_at, modified_at, true FROM damsync.asset`)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	r.failed("a", dam.ClassSource)
	r.places(nil)
	r.host.Set("a", "12345")
	r.Hurry()
	r.push()
	r.inSync("a")
	if r.body("a") != "12345" || r.host.Open() != 0 {
		t.Errorf("the target holds %q, %d downloads open", r.body("a"), r.host.Open())
	}
}

// A target that cannot be used makes all its placements wait, not only the one that met the failure, and recovers by
// itself.
func TestTargetThatIsDownWaits(t *testing.T) {
	for name, failure := range map[string]error{
		"unavailable":    fmt.Errorf("connect: %w", dam.ErrUnavailable),
		"full":           fmt.Errorf("write: %w", dam.ErrFull),
		"not permitted":  fmt.Errorf("log in: %w", dam.ErrAuth),
		"throttled":      &dam.Throttled{RetryAfter: 20 * time.Minute},
		"another answer": errors.New("nothing that a target should say to Check"),
	} {
		t.Run("at its check: "+name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.meddler.check = func() error { return failure }
			r.Want(twenty())
			r.push()
			r.paused(failure, 10) // one claim
			r.meddler.check = nil
			r.recovers()
		})
		if name == "another answer" {
			continue
		}
		t.Run("at a write: "+name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.meddler.before = func(dam.Op, string) error { return failure }
			r.Want(twenty())
			r.push()
			r.paused(failure, 10)
			r.meddler.before = nil
			r.recovers()
		})
	}
}

func twenty() map[string]state.Desired {
	want := map[string]state.Desired{}
	for i := range 20 {
		id := fmt.Sprintf("asset-%02d", i)
		want[id] = roomtest.At(id, "v1", id)
	}
	return want
}

// paused fails the test unless the target waits after one claim of n placements, and the others were not tried.
func (r *room) paused(failure error, n int) {
	r.t.Helper()
	if got := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.placement WHERE attempts = 1 AND error_class <> ''`); got != n {
		r.t.Errorf("%d placements failed, want %d", got, n)
	}
	if got := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.placement WHERE attempts = 0`); got != 20-n {
		r.t.Errorf("%d placements were not tried, want %d", got, 20-n)
	}
	if pauses := roomtest.Query[int](r.Database, `SELECT attempts FROM damsync.target`); pauses != 1 {
		r.t.Errorf("%d pauses for one outage", pauses)
	}
	var throttled *dam.Throttled
	if wait, _, err := r.Database.NextPlacement(r.t.Context(), roomtest.Target); err != nil || errors.As(failure, &throttled) && wait < throttled.RetryAfter/2 {
		r.t.Errorf("tried again after %s, %v", wait, err)
	}
}

// recovers fails the test unless everything comes in sync after the pause, and the next pause would be a short one.
func (r *room) recovers() {
	r.t.Helper()
	for range 3 {
		r.Hurry()
		r.push()
	}
	for id := range twenty() {
		r.inSync(id)
	}
	if pauses := roomtest.Query[int](r.Database, `SELECT attempts FROM damsync.target`); pauses != 0 {
		r.t.Errorf("%d pauses still count", pauses)
	}
}

// The check is not repeated while the target works, and comes before the next write once it has failed.
func TestTargetIsCheckedOncePerOutage(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	checks := 0
	r.meddler.check = func() error { checks++; return nil }
	for version := range 3 {
		r.want(map[string]state.Desired{"a": roomtest.At("a", fmt.Sprint("v", version), "a")})
	}
	if checks != 1 {
		t.Errorf("checked %d times before an outage", checks)
	}
	r.meddler.before = func(dam.Op, string) error { return dam.ErrUnavailable }
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v9", "a")})
	r.meddler.before = nil
	r.Hurry()
	r.push()
	r.inSync("a")
	if checks != 2 {
		t.Errorf("checked %d times, want once more after the outage", checks)
	}
}

// A failure of one asset is its own: the others are pushed, and the target does not wait.
func TestOneBadAssetStopsNoOther(t *testing.T) {
	for name, failure := range map[dam.Class]error{
		dam.ClassInvalid: dam.ErrInvalid, dam.ClassTemporary: dam.ErrTemporary, dam.ClassUnknown: errors.New("no answer came"),
	} {
		t.Run(string(name), func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.meddler.before = func(_ dam.Op, id string) error {
				if id == "a" {
					return failure
				}
				return nil
			}
			r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a"), "b": roomtest.At("b", "v1", "b")})
			r.failed("a", name)
			r.inSync("b")
			if p := r.row("a"); !p.IntentOpen {
				t.Error("the intent is closed, although the target was asked to change something")
			}
		})
	}
}

// A target that holds a higher generation than the database, which is then an older copy, is overtaken.
func TestHigherGenerationAtTheTargetIsOvertaken(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	r.generation("a", 5000)
	r.meddler.wrote()
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v2", "a")})
	r.inSync("a")
	if wrote := r.meddler.wrote(); !slices.Equal(wrote, []dam.Op{dam.OpPut, dam.OpPut}) {
		t.Errorf("wrote %v, want a put that is refused and one with a higher generation", wrote)
	}
	if got, p := r.at("a").Mark.Generation, r.row("a"); got != p.Desired || got <= 5000 {
		t.Errorf("the target holds generation %d, the placement has %d", got, p.Desired)
	}
}

// A generation that no database can have issued is not followed: the asset fails until a person removes the mark.
func TestSpoiltGenerationIsNotFollowed(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	before := r.row("a").Desired
	r.generation("a", 1<<62)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v2", "a"), "b": roomtest.At("b", "v1", "b")})
	r.failed("a", dam.ClassInvalid)
	r.inSync("b")
	if p := r.row("a"); p.Desired > before+100 {
		t.Errorf("generation %d after %d", p.Desired, before)
	}
}

// generation makes the target hold an asset with another generation, as a later worker would.
func (r *room) generation(id string, n int64) {
	r.t.Helper()
	a := memory.New(r.target, roomtest.Target, roomtest.Instance)
	mark := r.at(id).Mark
	mark.Generation = n
	if _, err := a.Move(r.t.Context(), r.at(id), mark, r.at(id).Path); err != nil {
		r.t.Fatal(err)
	}
}

// What the quota defers is no failure: the attempt does not count, and the refusal is remembered.
func TestDeferredDownloadIsNoFailure(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	until := time.Now().Add(time.Hour)
	r.host.Fail = &grant.Deferred{Class: grant.Incremental, Until: until, Reason: "the month is spent"}
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	if p := r.row("a"); p.State != "pending" || p.Attempts != 0 || p.Class != "" || p.LeaseOwner != "" {
		t.Errorf("recorded %+v", p)
	}
	if d, deferred := r.pusher.Source.Deferred(); !deferred || !d.Until.Equal(until) {
		t.Errorf("the refusal is not remembered: %+v", d)
	}
	r.host.Fail = nil
	r.Hurry()
	r.push()
	r.inSync("a")
}

// A shutdown gives the work back at once, and the attempt does not count.
func TestShutdownReturnsWork(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.Want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	jobs, err := r.pusher.Claim(t.Context(), 10)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.meddler.before = func(dam.Op, string) error {
		cancel()
		return ctx.Err()
	}
	jobs[0](ctx)
	if p := r.row("a"); p.Attempts != 0 || p.LeaseOwner != "" || p.Class != "" || !p.IntentOpen {
		t.Errorf("recorded %+v", p)
	}
	r.meddler.before = nil
	r.push() // without Hurry
	r.inSync("a")
}

// Run carries out what it is woken for, and ends with its context.
func TestRunIsWoken(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	ctx, cancel := context.WithCancel(t.Context())
	landed := loop.NewWakeup()
	r.meddler.after = func(dam.Op, string) error { landed.Signal(); return nil }
	done := make(chan error, 1)
	go func() { done <- r.pusher.Run(ctx) }()
	for _, version := range []string{"v1", "v2"} {
		r.Want(map[string]state.Desired{"a": roomtest.At("a", version, "a")})
		r.pusher.Wakeup.Signal()
		if err := landed.Wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := r.at("a").Mark.Version; got != "v2" {
		t.Errorf("the target holds version %q", got)
	}
}
