package verify

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/roomtest"
)

func TestRepairBringsTheTargetBack(t *testing.T) {
	for name, disturb := range map[string]func(*room){
		"missing objects":             func(r *room) { r.lose(path(1), path(2)) },
		"objects at another path":     func(r *room) { r.move(asset(1), "moved.png") },
		"objects with other metadata": func(r *room) { r.retitle(asset(1)) },
		"a mixture":                   func(r *room) { r.lose(path(0)); r.move(asset(1), "moved.png"); r.retitle(asset(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 5, 100)
			disturb(r)
			tv := r.verify(Options{Repair: true})
			if tv.Err != nil || tv.Repaired != tv.Counts.Total() || tv.Repaired == 0 {
				t.Errorf("%+v", tv)
			}
			r.holds(5)
			r.drifted()
			if again := r.verify(Options{}); again.Err != nil || again.Counts.Total() != 0 {
				t.Errorf("after its repair: %+v", again)
			}
			if seen, err := r.target.Look(t.Context(), path(2)); err != nil || string(seen.Body) != roomtest.Bytes(asset(2)) {
				t.Errorf("%q, %v", seen.Body, err)
			}
		})
	}
}

// A repair that would write more than the removal limit waits for a person: a wrong place looks like one where
// everything is missing.
func TestRepairBeyondTheLimitIsHeld(t *testing.T) {
	r := newRoom(t, 10, 3)
	missing := []string{path(0), path(1), path(2), path(3)}
	r.lose(missing...)
	tv := r.verify(Options{Repair: true})
	var held *RepairHeld
	if !errors.As(tv.Err, &held) || held.Differing != 4 || held.Allowed != 3 || tv.Repaired != 0 {
		t.Errorf("%+v", tv)
	}
	if len(r.drift()) != 4 || r.find(asset(0)).State != dam.Absent {
		t.Errorf("drift %q", r.drift())
	}
	if tv := r.verify(Options{Repair: true, All: true}); tv.Err != nil || tv.Repaired != 4 {
		t.Errorf("repair of everything: %+v", tv)
	}
	r.holds(10)
	r.lose(missing[:3]...)
	if tv := r.verify(Options{Repair: true}); tv.Err != nil || tv.Repaired != 3 {
		t.Errorf("at the limit: %+v", tv)
	}
	r.holds(10)
}

// What is foreign or cannot be looked at is never repaired.
func TestRepairLeavesForeignAndUnverifiedObjectsAlone(t *testing.T) {
	r := newRoom(t, 5, 100)
	r.foreign("theirs.png")
	hidden := asset(2)
	r.meddle(&meddler{list: without(hidden), find: func(id string) error {
		if id == hidden {
			return dam.ErrTemporary
		}
		return nil
	}})
	tv := r.verify(Options{Repair: true})
	if tv.Err != nil || tv.Repaired != 0 || tv.Retired != 0 {
		t.Errorf("%+v", tv)
	}
	r.drifted("foreign theirs.png", "unverified asset-02 asset-02.png")
	if seen, err := r.target.Look(t.Context(), "theirs.png"); err != nil || string(seen.Body) != "theirs" {
		t.Errorf("%q, %v", seen.Body, err)
	}
}

// Orphans pass the removal guard like any other removal.
func TestOrphansPassTheRemovalGuard(t *testing.T) {
	for name, test := range map[string]struct {
		orphans int
		held    int
	}{
		"few go":         {2, 0},
		"a wave is held": {8, 8},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 20, 5)
			ids := make([]string, test.orphans)
			for i := range ids {
				ids[i] = asset(i)
			}
			r.Remove(false, ids...)
			r.push()
			for _, id := range ids {
				r.stray(id)
			}
			tv := r.verify(Options{Repair: true})
			if tv.Err != nil || tv.Counts[state.DriftOrphaned] != int64(test.orphans) || tv.Retired != int64(test.orphans) {
				t.Errorf("%+v", tv)
			}
			if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.placement WHERE guard = 'held'`); n != test.held {
				t.Errorf("%d removals are held, want %d", n, test.held)
			}
			for _, id := range ids {
				if got := r.find(id).State; (got == dam.Present) != (test.held > 0) {
					t.Errorf("%s is %s", id, got)
				}
			}
		})
	}
}

// answering is a repair store whose library answers each lookup at once.
type answering struct {
	RepairStore
	gone  map[string]bool
	class grant.Class
}

func (a *answering) RequestLookups(_ context.Context, _ state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	a.class = class
	for _, ref := range refs {
		a.gone[ref.ID] = gone
	}
	return nil
}

// An orphan that the mirror does not know may be new, or unknown to a database restored from an older copy: the library
// is asked before the object is retired.
func TestLibraryIsAskedAboutUnknownOrphans(t *testing.T) {
	r := newRoom(t, 5, 100)
	library := &answering{RepairStore: r.Database, gone: map[string]bool{}}
	r.verifier.Repairs = library
	r.stray("unknown")
	tv := r.verify(Options{Repair: true})
	if tv.Err != nil || tv.Retired != 1 || r.find("unknown").State != dam.Absent {
		t.Errorf("%+v", tv)
	}
	if gone, requested := library.gone["unknown"]; !gone || !requested || len(library.gone) != 1 || library.class != grant.Manual {
		t.Errorf("requested %v by class %s", library.gone, library.class)
	}
}

// While the quota keeps the library from being asked, unknown orphans stay.
func TestUnknownOrphansStayWhileTheQuotaDefers(t *testing.T) {
	r := newRoom(t, 5, 100)
	r.stray("unknown")
	spent := &grant.Deferred{Class: grant.Manual, Until: time.Now().Add(time.Hour)}
	r.verifier.Engine.Deferred = func() (*grant.Deferred, bool) { return spent, true }
	_, err := r.verifier.Verify(t.Context(), Options{Repair: true})
	if d := new(grant.Deferred); !errors.As(err, &d) || d != spent {
		t.Errorf("error %v", err)
	}
	if got := r.find("unknown").State; got != dam.Present {
		t.Errorf("it is %s", got)
	}
	if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.lookup WHERE asset_id = 'unknown' AND gone`); n != 1 {
		t.Error("the library is not to be asked")
	}
}

// A scheduled verification reports drift, and repairs it where that is configured. The first one comes with the
// schedule and not at once.
func TestScheduledVerification(t *testing.T) {
	for _, repair := range []bool{false, true} {
		t.Run(fmt.Sprintf("repair is configured: %t", repair), func(t *testing.T) {
			r := newRoom(t, 5, 100)
			r.verifier.Targets[0].Repair = repair
			if err := r.verifier.Planner.UseKnown(t.Context()); err != nil { // rules are known
				t.Fatal(err)
			}
			yearly, err := loop.ParseSchedule("verify", "@yearly")
			if err != nil {
				t.Fatal(err)
			}
			step := r.verifier.Step(yearly)
			r.lose(path(1))
			r.step(step)
			r.drifted()
			r.Exec(`UPDATE damsync.observation SET last_attempt = last_attempt - interval '2 years' WHERE kind = $1`, state.KindVerify)
			r.step(step)
			if repair {
				r.drifted() // it has become work
				r.push()
				r.holds(5)
			} else {
				r.drifted("missing asset-01 asset-01.png")
				if got := r.find(asset(1)).State; got != dam.Absent {
					t.Errorf("it is %s", got)
				}
			}
			runs := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.run`)
			r.step(step)
			if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.run`); n != runs {
				t.Error("the next verification does not wait for the schedule")
			}
		})
	}
}

func (r *room) step(step func(context.Context) (time.Duration, error)) {
	r.t.Helper()
	if _, err := step(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// A repair looks at each object once more: one that came back meanwhile takes no write.
func TestRepairLooksOnceMore(t *testing.T) {
	r := newRoom(t, 5, 100)
	body := roomtest.Bytes(asset(1))
	reads := 0
	r.meddle(&meddler{readBack: func(id string) (string, error) {
		if id != asset(1) {
			return roomtest.Bytes(id), nil
		}
		if reads++; reads <= 2 { // from the list, and once more before it is recorded
			return "spoilt", nil
		}
		return body, nil
	}})
	tv := r.verify(Options{Depth: DepthReadback, Repair: true})
	if tv.Err != nil || tv.Counts[state.DriftChanged] != 1 || tv.Repaired != 0 {
		t.Errorf("%+v", tv)
	}
}
