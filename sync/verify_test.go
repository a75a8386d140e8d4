package sync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/verify"
)

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
		pause := loop.NewWakeup()
		for i := 0; pause.Wait(editing, 10*time.Millisecond) == nil; i++ {
			ids := w.sim.AssetIDs()
			_ = w.sim.EditTitle(ids[i%len(ids)], fmt.Sprintf("title %d", i)) // one that is gone cannot be edited
		}
	}()
	seen := int64(0)
	w.eventually("verifications see a full target", 2*time.Minute, func() error {
		result, err := verifies.engine.Verify(t.Context(), verify.Options{RequestedBy: "test"})
		if err != nil {
			w.Fatalf("verify: %v", err)
		}
		for _, v := range result.Targets {
			var empty *verify.EmptyTargetError
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
	photos := verify.Options{Targets: []string{"photos"}, RequestedBy: "test"}
	result, err := e.Verify(t.Context(), photos)
	if err != nil || result.Targets[0].Counts[state.DriftMissing] != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	broken := errors.New("the list broke off")
	for i := range e.verifier.Targets {
		e.verifier.Targets[i].Adapter = brokenList{e.verifier.Targets[i].Adapter, broken}
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
