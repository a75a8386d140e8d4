package cmp

import (
	"context"
	"time"

	"damsync/internal/grant"
)

// departures tells grants when their requests have left, beside the connection,
// which must not wait for the ledger.
type departures struct {
	wrote chan departure
	over  chan struct{} // closed: nothing more leaves that matters
	done  chan struct{} // closed: all is told
}

type departure struct {
	grant grant.Grant
	at    time.Time
}

func watchDepartures(ctx context.Context) *departures {
	// A request that is replayed leaves again. More than room for is not worth waiting for.
	d := &departures{wrote: make(chan departure, 4), over: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		for {
			select {
			case one := <-d.wrote:
				one.tell(ctx)
			case <-d.over:
				d.rest(ctx)
				return
			}
		}
	}()
	return d
}

// rest tells of what left while the end came.
func (d *departures) rest(ctx context.Context) {
	for {
		select {
		case one := <-d.wrote:
			one.tell(ctx)
		default:
			return
		}
	}
}

// tell leaves a failure to the next grant, which meets the same database: the
// request has left whatever the ledger knows of it.
func (d departure) tell(ctx context.Context) { _ = d.grant.Left(ctx, d.at) }

// left notes that the request of g left at. g is nil when it was kept from leaving.
func (d *departures) left(g grant.Grant, at time.Time) {
	if g == nil {
		return
	}
	select {
	case d.wrote <- departure{grant: g, at: at}:
	default:
	}
}

// end waits until all is told.
func (d *departures) end() {
	close(d.over)
	<-d.done
}
