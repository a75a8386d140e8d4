package sync

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
)

// A repair that broke off goes on although the target, when it is looked at, shows
// nothing wrong; one that has landed is not repeated.
func TestRepairIsNotForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		recorded string
		at       dam.State
		holds    int64
		want     string
	}{
		"not landed":           {"incomplete", dam.Present, 5, "incomplete"},
		"landed":               {"incomplete", dam.Present, 6, "present"},
		"gone meanwhile":       {"incomplete", dam.Absent, 5, "absent"},
		"nothing was the case": {"present", dam.Present, 5, "present"},
	} {
		j := &placing{w: state.Work{Generation: 6, Applied: state.Object{State: test.recorded, Generation: 5}}}
		j.remote = dam.Remote{State: test.at, Mark: dam.Mark{Generation: test.holds}}
		j.applied = objectOf(j.remote)
		j.distrust()
		if j.applied.State != test.want || string(j.remote.State) != test.want {
			t.Errorf("%s: applied %s, remote %s, want %s", name, j.applied.State, j.remote.State, test.want)
		}
	}
}

// Each difference that the target's answer shows is named; those that a push
// would not find by looking are unseen.
func TestDifferences(t *testing.T) {
	hash := library.Hash{1}
	p := state.Placed{Generation: 5, Applied: state.Object{State: "present", Path: "a.png", MetadataHash: hash, Generation: 5, SHA256: "aa", Size: 3, Token: "t"}}
	same := dam.Remote{
		Path: "a.png", State: dam.Present, Token: "t",
		Mark: dam.Mark{Version: "another name of the same bytes", SHA256: "aa", Size: 3, MetadataHash: hex.EncodeToString(hash[:]), Generation: 4},
	}
	for name, test := range map[string]struct {
		change func(*dam.Remote)
		want   string
		unseen bool
	}{
		"nothing":        {func(*dam.Remote) {}, "", false},
		"no digest kept": {func(r *dam.Remote) { r.Mark.SHA256 = "" }, "", false},
		"moved":          {func(r *dam.Remote) { r.Path = "b.png" }, `at "b.png"`, false},
		"metadata":       {func(r *dam.Remote) { r.Mark.MetadataHash = "x" }, "metadata", false},
		"written later":  {func(r *dam.Remote) { r.Mark.Generation = 6 }, "generation 6", false},
		"size":           {func(r *dam.Remote) { r.Mark.Size = 4 }, "4 bytes", true},
		"digest":         {func(r *dam.Remote) { r.Mark.SHA256 = "bb" }, "SHA-256 bb", true},
		"incomplete":     {func(r *dam.Remote) { r.State = dam.Incomplete }, "mark", false},
		"archived":       {func(r *dam.Remote) { r.State = dam.Archived }, "archived", false},
	} {
		r := same
		test.change(&r)
		differs, unseen := differences(p, r)
		if got := strings.Join(differs, "; "); (got == "") != (test.want == "") || !strings.Contains(got, test.want) || unseen != test.unseen {
			t.Errorf("%s: %q, unseen %t; want %q, %t", name, got, unseen, test.want, test.unseen)
		}
	}
}

// Hashes of one kind are compared; others prove nothing.
func TestHashDiffers(t *testing.T) {
	put := state.Object{SHA256: "aa", Hash: "md5:11"}
	for hash, want := range map[string]struct{ differs, proven bool }{
		"":          {false, false},
		"sha256:aa": {false, true},
		"sha256:bb": {true, true},
		"md5:11":    {false, true},
		"md5:22":    {true, true},
		"crc32c:11": {false, false},
	} {
		differs, proven := hashDiffers(put, dam.Remote{Hash: hash})
		if (differs != "") != want.differs || proven != want.proven {
			t.Errorf("%q: %q, %t", hash, differs, proven)
		}
	}
}

// The next verification comes with the schedule, and after a failure not before an hour.
func TestVerifyDue(t *testing.T) {
	weekly, err := parseSchedule("verify", "0 4 * * 6")
	if err != nil {
		t.Fatal(err)
	}
	saturday := time.Date(2026, 3, 7, 4, 0, 0, 0, time.Local)
	for name, test := range map[string]struct {
		last state.ObservationState
		want time.Duration
	}{
		"first":        {state.ObservationState{LastAttempt: saturday.Add(-time.Hour)}, 0},
		"overdue":      {state.ObservationState{LastAttempt: saturday.AddDate(0, 0, -7), LastSuccess: saturday.AddDate(0, 0, -7).Add(time.Minute)}, 0},
		"not yet":      {state.ObservationState{LastAttempt: saturday, LastSuccess: saturday.Add(time.Minute)}, 7*24*time.Hour - 5*time.Minute},
		"failed since": {state.ObservationState{LastAttempt: saturday, LastSuccess: saturday.AddDate(0, 0, -7)}, 55 * time.Minute},
	} {
		if got := verifyDue(weekly, test.last, saturday.Add(5*time.Minute)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// While editors edit and daemons push, a verification finds nothing to complain
// of: what is on its way is no drift.
func TestWorkOnItsWayIsNoDrift(t *testing.T) {
	w := newWorld(t, t, worldOptions{})
	defer w.close()
	pushes := w.start()
	verifies := w.replica()
	editing, stop := context.WithCancel(t.Context())
	edited := make(chan struct{})
	go func() {
		defer close(edited)
		pause := newBell()
		for i := 0; pause.wait(editing, 10*time.Millisecond) == nil; i++ {
			ids := w.sim.AssetIDs()
			_ = w.sim.EditTitle(ids[i%len(ids)], fmt.Sprintf("title %d", i)) // one that is gone cannot be edited
		}
	}()
	seen := int64(0)
	w.eventually("verifications see a full target", 2*time.Minute, func() error {
		result, err := verifies.engine.Verify(t.Context(), VerifyOptions{RequestedBy: "test"})
		if err != nil {
			w.Fatalf("verify: %v", err)
		}
		for _, v := range result.Targets {
			var empty *EmptyTargetError
			if v.Err != nil && !errors.As(v.Err, &empty) || v.Counts.Total() > 0 {
				t.Errorf("%s: %v, %v", v.Target, v.Counts, v.Err)
			}
			seen += v.Listed
		}
		if seen < 500 && !t.Failed() {
			return fmt.Errorf("%d objects listed", seen)
		}
		return nil
	})
	stop()
	<-edited
	pushes.stop()
}

// A list that breaks off proves no absence: nothing is recorded, and the drift known
// before stays.
func TestBrokenListProvesNothing(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("photos"))
	if err := os.Remove(filepath.Join(w.root("photos"), w.wanted("photos")[id].Path)); err != nil {
		t.Fatal(err)
	}
	e := w.replica().engine
	photos := VerifyOptions{Targets: []string{"photos"}, RequestedBy: "test"}
	result, err := e.Verify(t.Context(), photos)
	if err != nil || result.Targets[0].Counts[state.DriftMissing] != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	broken := errors.New("the list broke off")
	for i := range e.targets {
		e.targets[i].Adapter = brokenList{e.targets[i].Adapter, broken}
	}
	result, err = e.Verify(t.Context(), photos)
	if err != nil || !errors.Is(result.Targets[0].Err, broken) {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := query[int](w, `SELECT count(*) FROM report.drift WHERE kind = 'missing'`); n != 1 {
		t.Errorf("%d rows of drift, want the one known before", n)
	}
}

// brokenList gives what the target lists, and then an error.
type brokenList struct {
	dam.Adapter
	err error
}

func (b brokenList) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		for r, err := range b.Adapter.List(ctx) {
			if !yield(r, err) {
				return
			}
		}
		yield(dam.Remote{}, b.err)
	}
}
