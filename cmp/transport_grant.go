package cmp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"

	"damsync/internal/grant"
)

// maxStale bounds how many grants one send may lose to slow connections.
const maxStale = 3

// granting takes a grant before every send and checks it once more when a
// connection is in hand, since dialing may have taken long: the pace holds on
// arrival at the server, not on the decision.
//
// net/http replays a request by itself when a kept-alive connection turns out to be
// closed. A replay is one more arrival, so it takes one more grant.
type granting struct {
	next   http.RoundTripper
	grants Grants
}

func (t *granting) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	class := grant.ClassOf(ctx)
	g, err := t.grants.Take(ctx, class)
	if err != nil {
		return nil, err
	}
	watch := watchDepartures(context.WithoutCancel(ctx))
	defer watch.end()
	var sent grant.Grant
	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			departing, err := t.depart(ctx, class, g)
			if err != nil {
				cancel(err)
				// The transport would write now whatever the context says. A closed connection
				// is the one thing that keeps the request from leaving. It is this request's alone:
				// the transport speaks HTTP/1.1.
				_ = info.Conn.Close()
			}
			sent, g = departing, nil // a replay takes another
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { watch.left(sent, time.Now()) },
	}
	resp, err := t.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return resp, err
}

// depart settles the grant g of the request that leaves next, a fresh one where
// it is nil or has become stale, and returns the one used.
func (t *granting) depart(ctx context.Context, class grant.Class, g grant.Grant) (grant.Grant, error) {
	for range maxStale {
		if g == nil {
			fresh, err := t.grants.Take(ctx, class)
			if err != nil {
				return nil, err
			}
			g = fresh
		}
		err := g.Sent(ctx, time.Now())
		if err == nil {
			return g, nil
		}
		if !errors.Is(err, grant.ErrStale) {
			return nil, err
		}
		g = nil
	}
	return nil, fmt.Errorf("%w: grants went stale %d times", ErrTemporary, maxStale)
}
