package cmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"damsync/internal/library"
)

// Download is an open download. Size and ETag describe the whole file.
type Download struct {
	Body        io.ReadCloser // must be closed; reads fail with ErrTemporary when the download stalls
	Size        int64         // bytes; -1 when unknown
	ETag        string
	ContentType string
}

// Download opens u at byte from, which must not be behind the end. When the host does
// not serve ranges, Download reads the bytes before it and drops them. The request
// carries no bearer and no cookie. ErrExpiredURL means that a fresh URL is needed.
// Errors contain no part of the URL but its host.
func (c *Client) Download(ctx context.Context, u library.DownloadURL, from int64) (*Download, error) {
	target, err := c.downloadTarget(u)
	if err != nil {
		return nil, err
	}
	d, at, err := c.download(ctx, target, from)
	if errors.Is(err, errNoRange) {
		d, at, err = c.download(ctx, target, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("download from %s: %w", target.Host, err)
	}
	if err := d.skip(from - at); err != nil {
		return nil, fmt.Errorf("download from %s: %w", target.Host, err)
	}
	return d, nil
}

// download sends one request. The body of its answer begins at byte at: from or 0.
func (c *Client) download(ctx context.Context, target *url.URL, from int64) (d *Download, at int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, fmt.Errorf("%w: the URL cannot be requested", ErrBadResponse)
	}
	req.Header.Set("User-Agent", c.userAgent)
	// Without this the transport would ask for gzip, decompress it and hide the size.
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	stall := newStallTimer(c.stall, cancel)
	resp, err := c.downloads.Do(req)
	stall.stop()
	if err != nil {
		err = downloadFailure(ctx, err)
		cancel(nil)
		return nil, 0, err
	}
	body := &downloadBody{ctx: ctx, cancel: cancel, body: resp.Body, stall: stall}
	size, at, err := contentOf(resp, from)
	if err != nil {
		_ = body.Close() // err is the failure to return
		return nil, 0, err
	}
	return &Download{Body: body, Size: size, ETag: resp.Header.Get("ETag"), ContentType: resp.Header.Get("Content-Type")}, at, nil
}

// errNoRange means that the host answered a request for a range with neither that range
// nor the whole file.
var errNoRange = fmt.Errorf("%w: not the requested range", ErrBadResponse)

// contentOf returns the size of the whole file and the position at which the answer's
// body begins. A partial answer must declare that it reaches from the requested byte to
// the end of the file.
func contentOf(resp *http.Response, from int64) (size, at int64, err error) {
	switch {
	case from == 0 || resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable:
		return resp.ContentLength, 0, downloadError(resp.StatusCode)
	case resp.StatusCode != http.StatusPartialContent:
		return 0, 0, errNoRange
	}
	declared := resp.Header.Get("Content-Range")
	_, total, _ := strings.Cut(declared, "/")
	size, err = strconv.ParseInt(total, 10, 64)
	if err != nil || declared != fmt.Sprintf("bytes %d-%d/%d", from, size-1, size) {
		return 0, 0, errNoRange
	}
	return size, from, nil
}

// skip drops the next n bytes. It closes the body when it fails.
func (d *Download) skip(n int64) error {
	_, err := io.CopyN(io.Discard, d.Body, n)
	if err == nil {
		return nil
	}
	_ = d.Body.Close() // err is the failure to return
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file ends before the requested byte", ErrBadResponse)
	}
	return err
}

// downloadError returns the error of an answer to a request for the whole file, nil for
// the file itself.
func downloadError(status int) error {
	if status == http.StatusOK {
		return nil
	}
	class := ErrBadResponse
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		class = ErrExpiredURL
	default:
		if c := classOf(status, nil); errors.Is(c, ErrTemporary) {
			class = c
		}
	}
	return fmt.Errorf("%w (status %d)", class, status)
}

// downloadFailure returns err without the URL that http.Client puts into its errors, and
// without any other text that may contain a token.
func downloadFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%w: %w", ErrTemporary, op)
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: connection closed", ErrTemporary)
	}
	reason, _, _ := strings.Cut(err.Error(), "?")
	return fmt.Errorf("%w: %s", ErrTemporary, printable(reason))
}

// stallTimer cancels a download unless it is reset within limit.
type stallTimer struct {
	timer *time.Timer
	limit time.Duration
}

func newStallTimer(limit time.Duration, cancel context.CancelCauseFunc) *stallTimer {
	stalled := fmt.Errorf("%w: no byte for %s", ErrTemporary, limit)
	return &stallTimer{limit: limit, timer: time.AfterFunc(limit, func() { cancel(stalled) })}
}

func (t *stallTimer) reset() { t.timer.Reset(t.limit) }
func (t *stallTimer) stop()  { t.timer.Stop() }

// downloadBody ends a read that waits too long for bytes. The time between reads does
// not count.
type downloadBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	stall  *stallTimer
}

func (b *downloadBody) Read(p []byte) (int, error) {
	b.stall.reset()
	n, err := b.body.Read(p)
	b.stall.stop()
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("read download: %w", downloadFailure(b.ctx, err))
	}
	return n, err
}

func (b *downloadBody) Close() error {
	b.stall.stop()
	b.cancel(nil)
	return b.body.Close()
}
