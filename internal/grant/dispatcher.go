package grant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Dispatcher shares the ledger among the goroutines of one process: the most
// urgent class first, within a class in the order of arrival. It has no goroutine
// of its own: the waiter whose turn it is asks the ledger and passes the turn on.
type Dispatcher struct {
	ledger Ledger

	mu     sync.Mutex
	queues [][]*waiter // by rank, most urgent first
	asking *waiter     // whose turn it is; nil when nobody waits
	lead   time.Duration
}

type waiter struct {
	rank   int
	turn   chan struct{} // buffered: this waiter is to ask the ledger
	yield  chan struct{} // buffered: somebody more urgent has come
	refuse chan error    // buffered: the class was refused
}

// NewDispatcher returns a Dispatcher over ledger.
func NewDispatcher(ledger Ledger) *Dispatcher {
	return &Dispatcher{ledger: ledger, queues: make([][]*waiter, len(Classes())+1)}
}

// Take blocks until one request of class may be sent now. It returns *Deferred
// when the quota refuses the class, and the ledger's error when it cannot say.
func (d *Dispatcher) Take(ctx context.Context, class Class) (Grant, error) {
	w := d.join(class.Rank())
	for {
		select {
		case <-w.turn:
		case err := <-w.refuse:
			return nil, err
		case <-ctx.Done():
			d.leave(w)
			return nil, context.Cause(ctx)
		}
		g, again, err := d.ask(ctx, class, w)
		if !again {
			return g, err
		}
	}
}

// ask is w's turn. again says that w gave the turn up and waits for the next.
func (d *Dispatcher) ask(ctx context.Context, class Class, w *waiter) (g Grant, again bool, err error) {
	for {
		asked := time.Now()
		decision, err := d.ledger.Take(ctx, class)
		switch {
		case err != nil:
			d.leave(w)
			return nil, false, fmt.Errorf("take grant: %w", err)
		case decision.Deferred != nil:
			d.refuse(w, decision.Deferred)
			return nil, false, decision.Deferred
		case decision.Wait <= 0:
			d.leave(w)
			return &granted{dispatcher: d, slot: decision.Slot, at: asked}, false, nil
		}
		timer := time.NewTimer(decision.Wait)
		select {
		case <-timer.C:
		case <-w.yield:
			timer.Stop()
			d.pass(w)
			return nil, true, nil
		case <-ctx.Done():
			timer.Stop()
			d.leave(w)
			return nil, false, context.Cause(ctx)
		}
	}
}

// Pause keeps everybody from sending for d.
func (d *Dispatcher) Pause(ctx context.Context, pause time.Duration, reason string) error {
	if err := d.ledger.Pause(ctx, pause, reason); err != nil {
		return fmt.Errorf("pause grants: %w", err)
	}
	return nil
}

// Throttled keeps everybody from sending for d and lowers the pace.
func (d *Dispatcher) Throttled(ctx context.Context, pause time.Duration, reason string) (Throttle, error) {
	t, err := d.ledger.Throttled(ctx, pause, reason)
	if err != nil {
		return t, fmt.Errorf("lower the pace: %w", err)
	}
	return t, nil
}

func (d *Dispatcher) join(rank int) *waiter {
	w := &waiter{rank: rank, turn: make(chan struct{}, 1), yield: make(chan struct{}, 1), refuse: make(chan error, 1)}
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

// leave takes w out of the queue and, when it was its turn, appoints the next.
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

// pass gives the turn to the most urgent waiter; w keeps its place.
func (d *Dispatcher) pass(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asking == w {
		d.appoint()
	}
}

// refuse ends the wait of everybody in w's class.
func (d *Dispatcher) refuse(w *waiter, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.queues[w.rank] {
		if other != w {
			other.refuse <- err
		}
	}
	d.queues[w.rank] = nil
	d.appoint()
}

// appoint gives the turn to the head of the most urgent queue. It needs the lock.
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
