package cmpsim

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// maxBody bounds every request body read.
const maxBody = 1 << 20

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "cannot encode the answer")
		return
	}
	writeRaw(w, status, b)
}

func writeRaw(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone; there is nobody to tell
}

// The documented messages.
const (
	msgUnauthorized = "Unauthorized"
	msgNotFound     = "Resource not found"
)

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"message": message})
}

// writeInvalid answers 400 with the documented place for particulars.
func writeInvalid(w http.ResponseWriter, key, problem string) {
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"message": "Invalid " + key, "errors": map[string]any{key: []string{problem}},
	})
}

// withoutToken renders a query for the log; download tokens are left out.
func withoutToken(q url.Values) string {
	if q.Has("token") {
		q.Set("token", "…")
	}
	return q.Encode()
}

// compress gzips the answer when the client asks for it.
func compress(next http.Handler) http.Handler {
	var idle gzipPool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		zw := idle.get()
		defer idle.put(zw)
		g := &gzipWriter{ResponseWriter: w, zw: zw}
		defer g.finish()
		next.ServeHTTP(g, r)
	})
}

// gzipPool keeps compressors, which are big, between answers.
type gzipPool struct {
	mu   sync.Mutex
	free []*gzip.Writer
}

func (p *gzipPool) get() *gzip.Writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		zw := p.free[n-1]
		p.free = p.free[:n-1]
		return zw
	}
	zw, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return zw
}

func (p *gzipPool) put(zw *gzip.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, zw)
}

// gzipWriter starts compressing with the first byte of a body.
type gzipWriter struct {
	http.ResponseWriter
	zw      *gzip.Writer
	status  int
	started bool
}

func (g *gzipWriter) WriteHeader(code int) { g.status = code }

func (g *gzipWriter) Write(p []byte) (int, error) {
	if !g.started {
		g.started = true
		h := g.Header()
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		h.Del("Content-Length")
		g.sendHeader()
		g.zw.Reset(g.ResponseWriter)
	}
	return g.zw.Write(p)
}

func (g *gzipWriter) sendHeader() {
	if g.status != 0 {
		g.ResponseWriter.WriteHeader(g.status)
	}
}

func (g *gzipWriter) finish() {
	if !g.started {
		g.sendHeader()
		return
	}
	_ = g.zw.Close() // the client may be gone
}
