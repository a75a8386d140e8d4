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

const maxRedirects = 10

// Download is an asset's bytes on their way. Size and ETag are what the host says of the whole.
type Download struct {
	Body        io.ReadCloser // must be closed; a read fails with ErrTemporary when the bytes stop coming
	Size        int64         // bytes; -1 when unknown
	ETag        string
	ContentType string
}

// Download opens u at byte from, which must not be behind the end. Where the host
// gives no ranges, the bytes before it are read and dropped. The request carries no
// bearer and no cookie. ErrExpiredURL asks for a fresh URL; errors hold nothing of
// the URL but its host.
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

// download sends one request, and tells at which byte the body of its answer begins: from or 0.
func (c *Client) download(ctx context.Context, target *url.URL, from int64) (d *Download, at int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, fmt.Errorf("%w: the URL cannot be requested", ErrBadResponse)
	}
	req.Header.Set("User-Agent", c.userAgent)
	// Without this the transport would ask for gzip, unpack it and hide the size.
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	watch := newWatch(c.stall, cancel)
	resp, err := c.downloads.Do(req)
	watch.stop()
	if err != nil {
		err = downloadFailure(ctx, err)
		cancel(nil)
		return nil, 0, err
	}
	body := &stallingBody{ctx: ctx, cancel: cancel, body: resp.Body, watch: watch}
	size, at, err := contentOf(resp, from)
	if err != nil {
		_ = body.Close() // nothing of it is wanted
		return nil, 0, err
	}
	return &Download{Body: body, Size: size, ETag: resp.Header.Get("ETag"), ContentType: resp.Header.Get("Content-Type")}, at, nil
}

// errNoRange: the host answered a request for a range with something else than
// that range or the whole.
var errNoRange = fmt.Errorf("%w: not the range asked for", ErrBadResponse)

// contentOf gives the size of the whole and the first byte of what the answer holds. The answer to
// a range must be all that is left, and say so.
func contentOf(resp *http.Response, from int64) (size, at int64, err error) {
	switch {
	case from == 0 || resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable:
		return resp.ContentLength, 0, downloadStatus(resp.StatusCode)
	case resp.StatusCode != http.StatusPartialContent:
		return 0, 0, errNoRange
	}
	given := resp.Header.Get("Content-Range")
	_, total, _ := strings.Cut(given, "/")
	size, err = strconv.ParseInt(total, 10, 64)
	if err != nil || given != fmt.Sprintf("bytes %d-%d/%d", from, size-1, size) {
		return 0, 0, errNoRange
	}
	return size, from, nil
}

// skip drops the next n bytes. When it fails the body is closed.
func (d *Download) skip(n int64) error {
	_, err := io.CopyN(io.Discard, d.Body, n)
	if err == nil {
		return nil
	}
	_ = d.Body.Close() // the error at hand says more
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends before the byte asked for", ErrBadResponse)
	}
	return err
}

// downloadTarget parses u.
func (c *Client) downloadTarget(u library.DownloadURL) (*url.URL, error) {
	target, err := url.Parse(u.Reveal())
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, fmt.Errorf("download: %w: not an http(s) URL", ErrBadResponse)
	}
	c.upgrade(target)
	return target, nil
}

// upgrade makes http https: some of the API's examples say http. Left alone are this
// machine and set-ups where the API itself is spoken to by http, such as a simulator.
func (c *Client) upgrade(u *url.URL) {
	if u.Scheme == "http" && c.api.Scheme == "https" && !loopback(u.Hostname()) {
		u.Scheme = "https"
		if u.Port() == "80" {
			u.Host = strings.TrimSuffix(u.Host, ":80")
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (c *Client) newDownloadClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return errors.New("too many redirects")
		}
		req.Header.Del("Referer") // it would carry the token of the first URL to the next host
		c.upgrade(req.URL)
		return nil
	}}
}

func downloadStatus(status int) error {
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone:
		return fmt.Errorf("%w (status %d)", ErrExpiredURL, status)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%w (status %d)", ErrThrottled, status)
	case status >= 500:
		return fmt.Errorf("%w (status %d)", ErrServer, status)
	default:
		return fmt.Errorf("%w (status %d)", ErrBadResponse, status)
	}
}

// downloadFailure drops the URL that http.Client puts into its errors, which may
// hold a token, and everything but the kind of the failure.
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
	text, _, _ := strings.Cut(err.Error(), "?")
	return fmt.Errorf("%w: %s", ErrTemporary, shown(text))
}

// watch cancels a download when nobody resets it for limit.
type watch struct {
	timer *time.Timer
	limit time.Duration
}

func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	stalled := fmt.Errorf("%w: no byte for %s", ErrTemporary, limit)
	return &watch{limit: limit, timer: time.AfterFunc(limit, func() { cancel(stalled) })}
}

func (w *watch) reset() { w.timer.Reset(w.limit) }
func (w *watch) stop()  { w.timer.Stop() }

// stallingBody ends a read that waits too long for bytes. The reader's own pauses do
// not count.
type stallingBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	watch  *watch
}

func (b *stallingBody) Read(p []byte) (int, error) {
	b.watch.reset()
	n, err := b.body.Read(p)
	b.watch.stop()
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("read download: %w", downloadFailure(b.ctx, err))
	}
	return n, err
}

func (b *stallingBody) Close() error {
	b.watch.stop()
	b.cancel(nil)
	return b.body.Close()
}
