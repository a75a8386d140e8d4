package httpserver

import (
	"net/http"
	"runtime/debug"
	"time"
)

// track lets Serve wait for handlers that outlive their connection. It drops
// requests that were read while the server was closing.
func (s *Server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.RLock()
		defer s.inFlight.RUnlock()
		if !s.closed {
			next.ServeHTTP(w, r)
		}
	})
}

// close waits for running handlers and prevents new ones.
func (s *Server) close() {
	s.inFlight.Lock()
	defer s.inFlight.Unlock()
	s.closed = true
}

// logRequests logs each request. It omits the query, which may contain a secret.
func (s *Server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &statusRecorder{ResponseWriter: w}
		defer func() {
			s.options.Log.Debug().
				Str("method", r.Method).
				Str("path", r.URL.Path).
				Str("remote", r.RemoteAddr).
				Int("status", rec.status).
				Dur("took_ms", time.Since(start)).
				Msg("request answered")
		}()
		s.serveRecovered(rec, r, next)
	})
}

// serveRecovered keeps the process running when a handler panics. It answers
// 500, or closes the connection if the handler has already started an answer.
func (s *Server) serveRecovered(rec *statusRecorder, r *http.Request, next http.Handler) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault == http.ErrAbortHandler { // the handler wants the connection closed
			panic(fault)
		}
		s.options.Log.Error().Interface("panic", fault).Bytes("stack", debug.Stack()).
			Str("path", r.URL.Path).Msg("request handler panicked")
		if rec.status != 0 {
			panic(http.ErrAbortHandler)
		}
		reject(rec, http.StatusInternalServerError)
	}()
	next.ServeHTTP(rec, r)
}

// limitConcurrency answers 503 while n requests are in progress.
func limitConcurrency(n int, next http.Handler) http.Handler {
	free := newSlots(n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !free.take() {
			reject(w, http.StatusServiceUnavailable)
			return
		}
		defer free.giveBack()
		next.ServeHTTP(w, r)
	})
}

// slots limits concurrency.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

// take reports whether a slot was free, and takes it.
func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) giveBack() { <-s }

// reject answers with a status and closes the connection, so that the server
// does not read the rest of the body.
func reject(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	answer(w, status, http.StatusText(status))
}

func answer(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // an error means that the caller has gone
}

// statusRecorder records the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the first status.
func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write records the implicit status 200.
func (r *statusRecorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController access to the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
