package cmp

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"damsync/internal/grant"
)

// pacedTransport takes a grant before every request. Grants are spaced, but a request
// that has to dial leaves later than the ones after it, and would arrive together with
// them. So requests are spaced again where they leave, with a connection in hand.
type pacedTransport struct {
	next   http.RoundTripper
	grants Grants
	exit   *rate.Limiter // spaces the requests of this process
}

// newExit returns the limiter that spaces requests where they leave. Eleven requests
// of a pace of ten take 1040 ms: more than a second, and less than the 1080 ms that
// their grants take, so that late requests catch up.
func newExit(perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Every(1040*time.Millisecond/time.Duration(perSecond)), 1)
}

func (t *pacedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := t.grants.Take(ctx, grant.ClassOf(ctx)); err != nil {
		return nil, err
	}
	callOf(ctx).granted = true
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		time.Sleep(t.exit.Reserve().Delay())
	}}
	return t.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
}

// errReplay is the error of a request that net/http would have sent again by itself.
var errReplay = errors.New("connection closed before the answer")

// spendGrant is the Proxy function of newTransport, which net/http calls before each
// attempt to send a request, and whose error ends the request. When a reused HTTP/1.1
// connection breaks before the answer, net/http sends a GET again by itself. That is
// one more request at the API. It finds its grant spent and fails here; retryTransport
// repeats it with a grant of its own. Over HTTP/2, net/http only repeats requests that
// the server has rejected unprocessed. Downloads and logins need no grant.
func spendGrant(req *http.Request) (*url.URL, error) {
	if one, ok := req.Context().Value(callKey{}).(*call); ok {
		if !one.granted {
			return nil, errReplay
		}
		one.granted = false
	}
	return http.ProxyFromEnvironment(req)
}
