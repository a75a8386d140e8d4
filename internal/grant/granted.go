package grant

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrStale says that a granted request was kept from leaving for so long that
// its place in the sliding second is gone.
var ErrStale = errors.New("grant is stale")

// Margin is how much later than its slot a request may leave without the ledger
// being told. Ledgers make each window longer by it, so that the pace holds on
// arrival.
const Margin = 80 * time.Millisecond

// Margin is used up by lateness not worth a correction, by corrections that take
// longer than expected, and by the scheduler, which gets the rest.
const (
	tolerance       = 15 * time.Millisecond
	correctionSlack = 45 * time.Millisecond
	// staleAfter is where a correction no longer holds the pace: a slot moved by less
	// than the window was still counted while the others were granted.
	staleAfter = 900 * time.Millisecond
	// correctionLimit bounds the wait for the ledger when a request is ready to leave.
	correctionLimit = 2 * time.Second
)

// granted is a Grant of a Dispatcher.
type granted struct {
	dispatcher *Dispatcher
	slot       Slot
	at         time.Time // when the ledger was asked: not later than the slot's own time
}

// Sent moves the slot to the moment at which the correction will have been made,
// and returns at that moment.
func (g *granted) Sent(ctx context.Context, at time.Time) error {
	late := at.Sub(g.at)
	if late <= tolerance {
		return nil
	}
	lead := g.dispatcher.correctionLead()
	if late+lead >= staleAfter {
		return fmt.Errorf("%w: held for %s", ErrStale, late.Round(time.Millisecond))
	}
	took, err := g.move(ctx, late+lead)
	switch {
	case err != nil:
		return err
	case took > lead+correctionSlack:
		return fmt.Errorf("%w: its correction took %s", ErrStale, took.Round(time.Millisecond))
	}
	return sleep(ctx, lead-took)
}

// Left moves the slot after the fact. Nobody may send in its place for a second
// yet, so there is time for that.
func (g *granted) Left(ctx context.Context, at time.Time) error {
	late := at.Sub(g.at)
	if late <= tolerance {
		return nil
	}
	_, err := g.move(ctx, late)
	return err
}

// move places the slot late after where it is.
func (g *granted) move(ctx context.Context, late time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, correctionLimit)
	defer cancel()
	start := time.Now()
	slot, err := g.dispatcher.ledger.Correct(ctx, g.slot, late)
	took = time.Since(start)
	g.dispatcher.correctionTook(took)
	if err != nil {
		return took, fmt.Errorf("correct grant: %w", err)
	}
	g.slot, g.at = slot, g.at.Add(late)
	return took, nil
}

// correctionLead is how far ahead to place a corrected slot: what the last
// correction took when that was long, so that a slow ledger holds the pace too.
func (d *Dispatcher) correctionLead() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lead
}

func (d *Dispatcher) correctionTook(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lead = 0
	if took > tolerance {
		d.lead = min(took, staleAfter/2)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
