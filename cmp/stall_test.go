package cmp_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
)

// slowHost sends a byte after each pause, total times, and then nothing until the request
// is cancelled.
type slowHost struct {
	pause time.Duration
	total int
	urls  []string
}

func (h *slowHost) RoundTrip(req *http.Request) (*http.Response, error) {
	h.urls = append(h.urls, req.URL.String())
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Request: req, Body: &slowBody{h: h, req: req}}, nil
}

type slowBody struct {
	h    *slowHost
	req  *http.Request
	sent int
}

func (b *slowBody) Read(p []byte) (int, error) {
	wait := b.h.pause
	if b.sent >= b.h.total {
		wait = 24 * time.Hour
	}
	select {
	case <-time.After(wait):
		b.sent++
		p[0] = 'x'
		return 1, nil
	case <-b.req.Context().Done():
		return 0, b.req.Context().Err()
	}
}

func (b *slowBody) Close() error { return nil }

// A slow download continues for hours; a silent one ends after the stall timeout.
func TestDownloadEndsOnlyWhenItStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &slowHost{pause: 50 * time.Second, total: 200}
		client, err := cmp.New(cmp.Options{APIURL: "https://api.test", Tokens: &numberedTokens{}, Grants: &openGrants{}, Transport: host})
		if err != nil {
			t.Fatal(err)
		}
		d, err := client.Download(t.Context(), library.NewDownloadURL("http://files.test/x?token=SECRET"), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Body.Close()
		time.Sleep(time.Hour) // a pause of the reader is no stall
		start := time.Now()
		n, err := io.Copy(io.Discard, d.Body)
		if n != 200 || !errors.Is(err, cmp.ErrTemporary) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(start); took != 200*50*time.Second+60*time.Second {
			t.Errorf("took %s", took)
		}
		if host.urls[0] != "https://files.test/x?token=SECRET" {
			t.Errorf("requested %s: only http must become https", host.urls[0])
		}
	})
}
