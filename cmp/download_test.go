package cmp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
)

func TestDownload(t *testing.T) {
	content := strings.Repeat("bytes", 1000)
	host := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/file?token=JWT", http.StatusFound)
		case "/file":
			w.Header().Set("ETag", `"e1"`)
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, content)
		case "/cut":
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, content[:100])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/loop":
			http.Redirect(w, r, "/loop?token=SECRET", http.StatusFound)
		case "/bad-redirect":
			w.Header().Set("Location", "http://%zz?token=SECRET")
			w.WriteHeader(http.StatusFound)
		default:
			w.WriteHeader(map[string]int{"/401": 401, "/403": 403, "/404": 404, "/410": 410, "/429": 429, "/500": 500, "/206": 206}[r.URL.Path])
		}
	})
	f := newFixture(t, answer(200, emptyPage))
	get := func(path string) (*cmp.Download, error) {
		return f.Download(t.Context(), library.NewDownloadURL(host.URL+path+"?token=SECRET"), 0)
	}
	for _, path := range []string{"/file", "/moved"} {
		d, err := get(path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(d.Body)
		if err != nil || string(body) != content || d.Size != 5000 || d.ETag != `"e1"` || d.ContentType != "image/png" {
			t.Errorf("%s: %d bytes, %+v, %v", path, len(body), d, err)
		}
		if err := d.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]error{
		"/401": cmp.ErrExpiredURL, "/403": cmp.ErrExpiredURL, "/404": cmp.ErrExpiredURL, "/410": cmp.ErrExpiredURL,
		"/429": cmp.ErrThrottled, "/500": cmp.ErrServer, "/206": cmp.ErrBadResponse,
		"/loop": cmp.ErrTemporary, "/bad-redirect": cmp.ErrTemporary,
	} {
		_, err := get(path)
		if !errors.Is(err, want) || !errors.Is(err, cmp.ErrTemporary) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", path, err)
		}
	}
	d, err := get("/cut")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(d.Body); !errors.Is(err, cmp.ErrTemporary) {
		t.Errorf("cut: %v", err)
	}
	_ = d.Body.Close()
	host.Close()
	if _, err := get("/file"); !errors.Is(err, cmp.ErrTemporary) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("host down: %v", err)
	}
	for _, u := range []string{"", "file:///etc/passwd", "http://%zz/?token=SECRET", "/x?token=SECRET"} {
		if _, err := f.Download(t.Context(), library.NewDownloadURL(u), 0); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", u, err)
		}
	}
	if f.grants.count() != 0 {
		t.Error("a download took a grant")
	}
}

// However a host answers a request for a range, the download begins at the requested
// byte or fails.
func TestDownloadFromAByte(t *testing.T) {
	content := strings.Repeat("0123456789", 500)
	var ranged, whole int
	partly := func(contentRange, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				_, _ = io.WriteString(w, content)
				return
			}
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, body)
		}
	}
	hosts := map[string]http.HandlerFunc{
		"/ranges": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		},
		"/no ranges":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) },
		"/other start": partly("bytes 0-4999/5000", content),
		"/only some":   partly("bytes 4321-4400/5000", content[4321:4401]),
		"/no total":    partly("bytes 4321-4999/*", content[4321:]),
		"/no header":   partly("", content[4321:]),
		"/rejected": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			_, _ = io.WriteString(w, content)
		},
		"/too short": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content[:99]) },
	}
	host := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			whole++
		} else {
			ranged++
		}
		hosts[r.URL.Path](w, r)
	})
	f := newFixture(t, answer(200, emptyPage))
	for path, want := range map[string]struct {
		size  int64
		whole int // requests for the whole file
	}{
		"/ranges": {5000, 0}, "/no ranges": {-1, 0}, "/other start": {-1, 1}, "/only some": {-1, 1},
		"/no total": {-1, 1}, "/no header": {-1, 1}, "/rejected": {-1, 1},
	} {
		ranged, whole = 0, 0
		d, err := f.Download(t.Context(), library.NewDownloadURL(host.URL+strings.ReplaceAll(path, " ", "%20")), 4321)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body, err := io.ReadAll(d.Body)
		if err != nil || !bytes.Equal(body, []byte(content[4321:])) || d.Size != want.size {
			t.Errorf("%s: %d bytes of %d, %v", path, len(body), d.Size, err)
		}
		if got := fmt.Sprint(ranged, whole); got != fmt.Sprint(1, want.whole) {
			t.Errorf("%s: %s requests for the range and the whole", path, got)
		}
		if err := d.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Download(t.Context(), library.NewDownloadURL(host.URL+"/too%20short"), 4321); !errors.Is(err, cmp.ErrTemporary) {
		t.Errorf("a file that ends before the requested byte: %v", err)
	}
}

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
