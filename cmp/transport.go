package cmp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
)

// newStack builds the stack in the package comment, innermost first.
func newStack(api *url.URL, o Options) http.RoundTripper {
	var t http.RoundTripper = &bufferedTransport{next: o.Transport, timeout: o.AttemptTimeout}
	t = &observedTransport{next: t, log: o.Log, observer: o.Observer}
	t = &pacedTransport{next: t, grants: o.Grants, exit: newExit(o.RequestsPerSecond)}
	t = &authTransport{next: t, tokens: o.Tokens, origin: origin(api)}
	return &retryTransport{next: t, grants: o.Grants, log: o.Log}
}

// newTransport returns the transport under the stack when none is configured.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = 60 * time.Second
	return t
}

// Observation is one request that was sent to the API.
type Observation struct {
	Op       string // the operation; contains ids, so unsuitable for metric labels
	Method   string
	Path     string // without the query
	Status   int    // 0 when no answer came
	Class    grant.Class
	Attempt  int           // from 1 within one call
	Duration time.Duration // from sending to the last byte
	Err      error         // why no answer came
}

// observedTransport logs and reports every request sent. It stands inside
// pacedTransport so that the duration does not include the wait for a grant.
type observedTransport struct {
	next     http.RoundTripper
	log      zerolog.Logger
	observer func(Observation)
}

func (t *observedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	one := callOf(req.Context())
	one.attempts++
	start := time.Now()
	one.sent = start
	resp, err := t.next.RoundTrip(req)
	o := Observation{
		Op: one.op, Method: req.Method, Path: req.URL.Path, Class: grant.ClassOf(req.Context()),
		Attempt: one.attempts, Duration: time.Since(start), Err: err,
	}
	if resp != nil {
		o.Status = resp.StatusCode
	}
	t.log.Debug().Err(err).Str("method", o.Method).Str("path", o.Path).Int("status", o.Status).
		Dur("duration", o.Duration).Str("class", string(o.Class)).Int("attempt", o.Attempt).Msg("CMP request")
	if t.observer != nil {
		t.observer(o)
	}
	return resp, err
}

// maxBody bounds one API answer after decompression.
const maxBody = 32 << 20

// bufferedTransport returns either a complete answer or an error: it limits the time
// of an attempt, reads the body to its end and bounds its size.
type bufferedTransport struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (t *bufferedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.timeout,
		fmt.Errorf("%w: no complete answer within %s", ErrTemporary, t.timeout))
	defer cancel()
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, connectionError(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", connectionError(ctx, err))
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: body over %d bytes", ErrBadResponse, maxBody)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// connectionError returns the cause of ctx when it has ended, and otherwise err as
// ErrTemporary.
func connectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrTemporary, err)
}
