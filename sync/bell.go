package sync

import (
	"context"
	"time"

	"damsync/internal/state"
)

// bell wakes one loop. Ringing never blocks, and rings while the loop works
// are one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// rung takes a ring that nobody has heard yet.
func (b bell) rung() bool {
	select {
	case <-b:
		return true
	default:
		return false
	}
}

// wait returns when the bell rings, after d, or with ctx's error.
func (b bell) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-b:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause returns after d, or with ctx's error.
func pause(ctx context.Context, d time.Duration) error { return newBell().wait(ctx, d) }

// renewing calls renew again and again, each time after a pause of each, until ctx ends or
// the function returned is called, which waits for the last call.
func renewing(ctx context.Context, each time.Duration, renew func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, each) == nil {
			renew(ctx)
		}
	}()
	return func() { cancel(); <-done }
}

// bells has one bell a kind of work; pushers share theirs by target.
type bells struct {
	lookup, gate, plan, rules, expiry, poll, burst, audit, sweep, references, prune bell
	placement                                                                       map[string]bell
}

func newBells() bells {
	return bells{
		lookup: newBell(), gate: newBell(), plan: newBell(), rules: newBell(), expiry: newBell(), poll: newBell(), burst: newBell(),
		audit: newBell(), sweep: newBell(), references: newBell(), prune: newBell(), placement: map[string]bell{},
	}
}

// Wake tells the loops that there may be work of topic.
func (e *Engine) Wake(topic state.Topic) {
	switch topic {
	case state.TopicLookup:
		e.bells.lookup.ring()
	case state.TopicPlacement:
		for _, b := range e.bells.placement {
			b.ring()
		}
		e.bells.expiry.ring() // a new placement may have an expiry
	case state.TopicGate:
		e.bells.gate.ring()
	case state.TopicPlan:
		e.bells.rules.ring()
		e.bells.plan.ring()
	case state.TopicBurst:
		e.bells.burst.ring()
	case state.TopicReferences:
		e.references.want()
		e.bells.references.ring()
	}
}

// listen rings the bells for what other processes and other transactions did.
func (e *Engine) listen(ctx context.Context) error {
	return e.store.Listen(ctx, e.Wake)
}

// ringLeader starts what only the leader does.
func (b bells) ringLeader() {
	for _, one := range []bell{b.plan, b.expiry, b.poll, b.burst, b.audit, b.sweep, b.references, b.prune} {
		one.ring()
	}
}
