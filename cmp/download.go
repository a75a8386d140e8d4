package cmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"damsync/internal/library"
)

const maxRedirects = 10

// Download is an asset's bytes on their way. Size and ETag are what the host says.
type Download struct {
	Body        io.ReadCloser // must be closed; a read fails with ErrTemporary when the bytes stop coming
	Size        int64         // -1 when unknown
	ETag        string
	ContentType string
}

// Download opens u. The request carries no bearer and no cookie. ErrExpiredURL asks
// for a fresh URL; errors hold nothing of the URL but its host.
func (c *Client) Download(ctx context.Context, u library.DownloadURL) (*Download, error) {
	target, err := c.downloadTarget(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("download from %s: %w: the URL cannot be requested", target.Host, ErrBadResponse)
	}
	req.Header.Set("User-Agent", c.userAgent)
	// Without this the transport would ask for gzip, unpack it and hide the size.
	req.Header.Set("Accept-Encoding", "identity")
	watch := newWatch(c.stall, cancel)
	resp, err := c.downloads.Do(req)
	watch.stop()
	if err != nil {
		err = downloadFailure(ctx, err)
		cancel(nil)
		return nil, fmt.Errorf("download from %s: %w", target.Host, err)
	}
	body := &stallingBody{ctx: ctx, cancel: cancel, body: resp.Body, watch: watch}
	if err := downloadStatus(resp.StatusCode); err != nil {
		_ = body.Close() // nothing of it is wanted
		return nil, fmt.Errorf("download from %s: %w", target.Host, err)
	}
	return &Download{Body: body, Size: resp.ContentLength, ETag: resp.Header.Get("ETag"), ContentType: resp.Header.Get("Content-Type")}, nil
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
