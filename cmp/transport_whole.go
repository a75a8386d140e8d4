package cmp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxBody bounds one API answer, unpacked.
const maxBody = 32 << 20

// whole makes an answer that is complete or an error: it limits the attempt's
// time, reads the body to its end and bounds its size.
type whole struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (t *whole) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.timeout,
		fmt.Errorf("%w: no whole answer within %s", ErrTemporary, t.timeout))
	defer cancel()
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, cutShort(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", cutShort(ctx, err))
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: body over %d bytes", ErrBadResponse, maxBody)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// cutShort classes a failure to get an answer: the context's own cause when it has
// ended, else a dropped connection.
func cutShort(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrTemporary, err)
}
