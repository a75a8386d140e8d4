package grant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Dispatcher shares the ledger among the goroutines of one process. It serves the
// most urgent class first, and waiters of one class in the order of their arrival. It
// runs no goroutine of its own: only the waiter whose turn it is asks the ledger, and
// then passes the turn on.
type Dispatcher struct {
	ledger Ledger

	mu     sync.Mutex
	queues [][]*waiter // by rank, most urgent first
	asking *waiter     // whose turn it is; nil when no goroutine waits
}

type waiter struct {
	rank     int
	turn     chan struct{}  // buffered: this waiter may ask the ledger
	yield    chan struct{}  // buffered: a more urgent waiter has arrived
	deferred chan *Deferred // buffered: the ledger deferred the class
}

// NewDispatcher returns a Dispatcher over ledger.
func NewDispatcher(ledger Ledger) *Dispatcher {
	return &Dispatcher{ledger: ledger, queues: make([][]*waiter, len(Classes())+1)}
}

// Take blocks until one request of class may be sent now. It returns *Deferred when
// the quota defers the class, and the ledger's error when the ledger fails.
func (d *Dispatcher) Take(ctx context.Context, class Class) error {
	w := d.join(class.Rank())
	for {
		select {
		case <-w.turn:
		case deferred := <-w.deferred:
			return deferred
		case <-ctx.Done():
			d.leave(w)
			return context.Cause(ctx)
		}
		if yielded, err := d.ask(ctx, class, w); !yielded {
			return err
		}
	}
}

// ask asks the ledger until it decides. It reports true when w gave its turn to a more
// urgent waiter and has to wait for the next one.
func (d *Dispatcher) ask(ctx context.Context, class Class, w *waiter) (yielded bool, err error) {
	for {
		decision, err := d.ledger.Take(ctx, class)
		switch {
		case err != nil:
			d.leave(w)
			return false, fmt.Errorf("take grant: %w", err)
		case decision.Deferred != nil:
			d.deferClass(w, decision.Deferred)
			return false, decision.Deferred
		case decision.Wait <= 0:
			d.leave(w)
			return false, nil
		}
		timer := time.NewTimer(decision.Wait)
		select {
		case <-timer.C:
		case <-w.yield:
			timer.Stop()
			d.pass(w)
			return true, nil
		case <-ctx.Done():
			timer.Stop()
			d.leave(w)
			return false, context.Cause(ctx)
		}
	}
}

// Pause stops all requests, in all processes, for the time of pause.
func (d *Dispatcher) Pause(ctx context.Context, pause time.Duration, reason string) error {
	if err := d.ledger.Pause(ctx, pause, reason); err != nil {
		return fmt.Errorf("pause grants: %w", err)
	}
	return nil
}

// Throttled does what Pause does and lowers the pace of all processes.
func (d *Dispatcher) Throttled(ctx context.Context, pause time.Duration, reason string) (Throttle, error) {
	t, err := d.ledger.Throttled(ctx, pause, reason)
	if err != nil {
		return t, fmt.Errorf("lower the pace: %w", err)
	}
	return t, nil
}

func (d *Dispatcher) join(rank int) *waiter {
	w := &waiter{rank: rank, turn: make(chan struct{}, 1), yield: make(chan struct{}, 1), deferred: make(chan *Deferred, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queues[rank] = append(d.queues[rank], w)
	switch {
	case d.asking == nil:
		d.appoint()
	case rank < d.asking.rank:
		signal(d.asking.yield)
	}
	return w
}

// leave removes w from its queue and passes its turn on, if it had it.
func (d *Dispatcher) leave(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[w.rank]
	if i := slices.Index(q, w); i >= 0 {
		d.queues[w.rank] = slices.Delete(q, i, i+1)
	}
	if d.asking == w {
		d.appoint()
	}
}

// pass gives the turn to the most urgent waiter; w keeps its place in the queue.
func (d *Dispatcher) pass(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asking == w {
		d.appoint()
	}
}

// deferClass ends the wait of every waiter in w's class.
func (d *Dispatcher) deferClass(w *waiter, deferred *Deferred) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.queues[w.rank] {
		if other != w {
			other.deferred <- deferred
		}
	}
	d.queues[w.rank] = nil
	d.appoint()
}

// appoint gives the turn to the head of the most urgent queue. The caller holds the lock.
func (d *Dispatcher) appoint() {
	d.asking = nil
	for _, q := range d.queues {
		if len(q) > 0 {
			d.asking = q[0]
			signal(q[0].turn)
			return
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
