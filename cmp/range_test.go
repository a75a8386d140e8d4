package cmp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
)

// Whatever a host does with a request for a range: what is read begins at the
// byte asked for, or there is an error.
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
		"/no ranges":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) },
		"/other start":  partly("bytes 0-4999/5000", content),
		"/only some":    partly("bytes 4321-4400/5000", content[4321:4401]),
		"/no total":     partly("bytes 4321-4999/*", content[4321:]),
		"/nothing said": partly("", content[4321:]),
		"/refused": func(w http.ResponseWriter, r *http.Request) {
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
		whole int // requests for all of it
	}{
		"/ranges": {5000, 0}, "/no ranges": {-1, 0}, "/other start": {-1, 1}, "/only some": {-1, 1},
		"/no total": {-1, 1}, "/nothing said": {-1, 1}, "/refused": {-1, 1},
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
		t.Errorf("content that ends before: %v", err)
	}
}
