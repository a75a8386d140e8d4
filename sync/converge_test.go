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

// An empty database and empty targets converge with the library.
func TestFirstSync(t *testing.T) {
	w := newWorld(t, t, worldOptions{})
	defer w.close()
	w.start()
	w.converge()
	if len(w.wanted("brand")) < 5 || len(w.wanted("photos")) < 5 {
		t.Fatal("the library is too small for this test")
	}
}

// converge waits until no work is left and the targets equal the library.
func (w *world) converge() {
	w.Helper()
	w.eventually("convergence", 60*time.Second, func() error {
		if query[int](w, `SELECT count(*) FROM damsync.observation WHERE kind = 'sweep' AND last_success IS NOT NULL`) == 0 {
			return errors.New("no sweep is complete")
		}
		if err := w.workLeft(); err != nil {
			return err
		}
		return w.targetsEqual()
	})
}

// recoverAndConverge ends all faults, sweeps the library once more, and waits for convergence without back-offs.
func (w *world) recoverAndConverge() {
	w.Helper()
	w.sim.ClearFaults()
	w.sweep(w.waitDelivered())
	w.convergeSoon()
}

// convergeByEvents waits for convergence after the delivery of all events, without a sweep.
func (w *world) convergeByEvents() {
	w.Helper()
	w.waitDelivered()
	w.convergeSoon()
}

// waitDelivered waits until all events are delivered, and returns a running replica.
func (w *world) waitDelivered() *replica {
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

// convergeSoon waits for convergence and ends back-offs meanwhile.
func (w *world) convergeSoon() {
	w.Helper()
	ended := time.Now()
	w.eventually("convergence", 60*time.Second, func() error {
		if time.Since(ended) > 500*time.Millisecond {
			w.endBackoffs()
			ended = time.Now()
		}
		if err := w.workLeft(); err != nil {
			return err
		}
		return w.targetsEqual()
	})
}

// alive returns a running replica, or nil.
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
		w.endBackoffs()
		if !r.engine.rules.Known() {
			return errors.New("the rules are not known")
		}
		began := query[time.Time](w, `SELECT clock_timestamp()`)
		p, err := r.engine.sweeper.Sweep(context.Background(), observe.SweepOptions{Class: grant.Sweep, RequestedBy: "test", AllSuspects: true})
		if err != nil {
			return err
		}
		if query[bool](w, `SELECT started_at < $1 FROM damsync.run WHERE id = $2`, began, p.RunID) {
			return fmt.Errorf("run %d resumed an older one", p.RunID)
		}
		return nil
	})
}
