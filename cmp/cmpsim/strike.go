package cmpsim

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// strike is a request that a fault strikes.
type strike struct {
	Fault
	w    http.ResponseWriter
	r    *http.Request
	next http.Handler // answers undisturbed
}

// known reports whether there is such a kind.
func (k FaultKind) known() bool { return strikes()[k] != nil || answerChanges()[k] != nil }

// serve answers the request.
func (s strike) serve() {
	if change, ok := answerChanges()[s.Kind]; ok {
		s.serveChanged(change)
		return
	}
	strikes()[s.Kind](s)
}

// strikes are the faults that replace or disturb an answer.
func strikes() map[FaultKind]func(strike) {
	return map[FaultKind]func(strike){
		FaultStatus:       func(s strike) { s.writeStatus(cmp.Or(s.Status, http.StatusInternalServerError)) },
		FaultRateLimit:    func(s strike) { s.writeStatus(http.StatusTooManyRequests) },
		FaultUnauthorized: func(s strike) { writeError(s.w, http.StatusUnauthorized, msgUnauthorized) },
		FaultHTML:         func(s strike) { writeHTML(s.w, http.StatusOK) },
		FaultDrop:         func(strike) { panic(http.ErrAbortHandler) },
		FaultTokenError:   strike.serveTokenError,
		FaultNoCreated:    strike.serveWithoutCreated,
		FaultSlow: func(s strike) {
			if pause(s.r.Context(), s.delay()) {
				s.next.ServeHTTP(s.w, s.r)
			}
		},
		FaultCut:        func(s strike) { s.serveThrough(&cuttingWriter{ResponseWriter: s.w}) },
		FaultCutChunked: func(s strike) { s.serveThrough(&cuttingWriter{ResponseWriter: s.w, chunked: true}) },
		FaultDrip: func(s strike) {
			s.serveThrough(&drippingWriter{ResponseWriter: s.w, ctx: s.r.Context(), over: s.delay()})
		},
		FaultCorrupt: func(s strike) { s.serveThrough(&corruptingWriter{ResponseWriter: s.w}) },
	}
}

// serveThrough lets w disturb the uncompressed answer.
func (s strike) serveThrough(w http.ResponseWriter) { s.next.ServeHTTP(w, s.uncompressed()) }

func (s strike) uncompressed() *http.Request {
	r := s.r.Clone(s.r.Context())
	r.Header.Del("Accept-Encoding")
	return r
}

func (s strike) serveWithoutCreated() {
	r := s.r.Clone(s.r.Context())
	query := r.URL.Query()
	query.Del("created_at__from")
	query.Del("created_at__to")
	r.URL.RawQuery = query.Encode()
	s.next.ServeHTTP(s.w, r)
}

func (s strike) serveTokenError() {
	status := cmp.Or(s.Status, http.StatusUnauthorized)
	if s.Body == "html" || s.Body == "empty" {
		s.writeStatus(status)
		return
	}
	writeOAuthError(s.w, status, cmp.Or(s.Body, "invalid_client"), "")
}

func (s strike) writeStatus(status int) {
	if s.RetryAfter != "" {
		s.w.Header().Set("Retry-After", s.RetryAfter)
	}
	switch s.Body {
	case "html":
		writeHTML(s.w, status)
	case "empty":
		s.w.WriteHeader(status)
	default:
		writeError(s.w, status, http.StatusText(status))
	}
}

func writeHTML(w http.ResponseWriter, status int) {
	const text = "<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body><h1>We will be right back</h1></body></html>\n"
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // fails when the client has left
}

// pause waits for d and reports whether the request is still wanted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
