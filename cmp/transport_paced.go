package cmp

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
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
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		_ = t.exit.Wait(ctx) // a context that has ended fails the request by itself
	}}
	return t.next.RoundTrip(once(req.WithContext(httptrace.WithClientTrace(ctx, trace))))
}

// once keeps net/http from sending a request again by itself, which it does with one that has no body when a reused
// connection breaks before the answer: that would be one more request at the API, without a grant. An empty body that
// can be read only once prevents it, and is not sent. retryTransport repeats the request with a grant of its own. req is
// changed.
func once(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		req.Body = io.NopCloser(strings.NewReader(""))
	}
	return req
}
