package sync

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"damsync/internal/grant"
	"damsync/sync/observe"
)

// A library is mirrored and pushed from nothing.
func TestFirstSync(t *testing.T) {
	w := newWorld(t, t, worldOptions{})
	defer w.close()
	w.start()
	w.converge()
	if len(w.wanted("brand")) < 5 || len(w.wanted("photos")) < 5 {
		t.Fatal("the library is too small to show anything")
	}
}

// converge waits until nothing is left to do and the targets equal the library.
func (w *world) converge() {
	w.Helper()
	w.eventually("convergence", 60*time.Second, func() error {
		if query[int](w, `SELECT count(*) FROM damsync.observation WHERE kind = 'sweep' AND last_success IS NOT NULL`) == 0 {
			return errors.New("no sweep is complete")
		}
		if err := w.settled(); err != nil {
			return err
		}
		return w.equal()
	})
}

// rest lets the library rest and helps what editors and faults have left: the back-offs end, the library
// is read once more.
func (w *world) rest() {
	w.Helper()
	w.sim.ClearFaults()
	w.sweep(w.delivery())
	w.hurried()
}

// withoutSweep is rest for what events alone have to tell.
func (w *world) withoutSweep() {
	w.Helper()
	w.delivery()
	w.hurried()
}

// delivery waits until all events are delivered, and returns a replica that lives.
func (w *world) delivery() *replica {
	w.Helper()
	for _, r := range w.replicas {
		r.life.endAfter(0)
		if r.life.ended() {
			r.kill()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.sim.WaitDelivered(ctx); err != nil {
		w.Fatalf("webhooks: %v", err)
	}
	if r := w.alive(); r != nil {
		return r
	}
	return w.start()
}

// hurried waits for convergence and ends the back-offs meanwhile.
func (w *world) hurried() {
	w.Helper()
	hurried := time.Now()
	w.eventually("convergence", 60*time.Second, func() error {
		if time.Since(hurried) > 500*time.Millisecond {
			w.hurry()
			hurried = time.Now()
		}
		if err := w.settled(); err != nil {
			return err
		}
		return w.equal()
	})
}

func (w *world) alive() *replica {
	for _, r := range w.replicas {
		if !r.ended && !r.life.ended() {
			return r
		}
	}
	return nil
}

// sweep reads the whole library from its top.
func (w *world) sweep(r *replica) {
	w.Helper()
	w.eventually("sweep", 60*time.Second, func() error {
		w.hurry()
		if !r.engine.rules.Known() {
			return errors.New("the rules are not known")
		}
		began := query[time.Time](w, `SELECT clock_timestamp()`)
		p, err := r.engine.sweeper.Sweep(context.Background(), observe.SweepOptions{Class: grant.Sweep, RequestedBy: "test", AllSuspects: true})
		if err != nil {
			return err
		}
		if query[bool](w, `SELECT started_at < $1 FROM damsync.run WHERE id = $2`, began, p.RunID) {
			return fmt.Errorf("run %d went on with an older one", p.RunID)
		}
		return nil
	})
}
