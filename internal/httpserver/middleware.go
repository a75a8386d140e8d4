package httpserver

import (
	"net/http"
	"runtime/debug"
	"time"
)

// track lets Serve wait for handlers that outlive their connection. A request
// that was read while the server closed is not begun.
func (s *Server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.RLock()
		defer s.inFlight.RUnlock()
		if !s.closed {
			next.ServeHTTP(w, r)
		}
	})
}

// close waits for the handlers in flight, and keeps others from starting.
func (s *Server) close() {
	s.inFlight.Lock()
	defer s.inFlight.Unlock()
	s.closed = true
}

// observe writes one line a request. The query is left out, since a caller may
// have put a secret there.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			s.options.Log.Debug().
				Str("method", r.Method).
				Str("path", r.URL.Path).
				Str("remote", r.RemoteAddr).
				Int("status", rec.status).
				Dur("took_ms", time.Since(start)).
				Msg("request answered")
		}()
		s.recovered(rec, r, next)
	})
}

// recovered keeps the process up when a handler panics: it answers 500 or, when
// an answer has begun, drops the connection.
func (s *Server) recovered(rec *recorder, r *http.Request, next http.Handler) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault == http.ErrAbortHandler { // how a handler asks for that
			panic(fault)
		}
		s.options.Log.Error().Interface("panic", fault).Bytes("stack", debug.Stack()).
			Str("path", r.URL.Path).Msg("request handler panicked")
		if rec.status != 0 {
			panic(http.ErrAbortHandler)
		}
		refuse(rec, http.StatusInternalServerError)
	}()
	next.ServeHTTP(rec, r)
}

// bounded answers 503 when n requests are in work already.
func bounded(n int, next http.Handler) http.Handler {
	slots := newSlots(n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slots.take() {
			refuse(w, http.StatusServiceUnavailable)
			return
		}
		defer slots.free()
		next.ServeHTTP(w, r)
	})
}

// slots bounds what is done at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

// refuse answers with a status and closes the connection, so that the server
// does not read on through a body nobody wants.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	answer(w, status, http.StatusText(status))
}

func answer(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the caller has gone away: nothing to tell it
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
