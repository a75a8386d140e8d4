package cmpsim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body><h1>We will be right back</h1></body></html>\n"

// serve answers a struck request.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch f.Kind {
	case FaultStatus:
		f.serveStatus(w, f.Status)
	case FaultRateLimit:
		f.serveStatus(w, http.StatusTooManyRequests)
	case FaultUnauthorized:
		writeError(w, http.StatusUnauthorized, msgUnauthorized)
	case FaultTokenError:
		f.serveTokenError(w)
	case FaultDrop:
		panic(http.ErrAbortHandler)
	case FaultHTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(htmlPage)) // the client may be gone
	case FaultSlow:
		if pause(r.Context(), f.delay()) {
			next.ServeHTTP(w, r)
		}
	case FaultCut, FaultCutChunked:
		next.ServeHTTP(&cuttingWriter{ResponseWriter: w, chunked: f.Kind == FaultCutChunked}, plain(r))
	case FaultDrip:
		next.ServeHTTP(&drippingWriter{ResponseWriter: w, ctx: r.Context(), over: f.delay()}, plain(r))
	case FaultNoCreated:
		r = r.Clone(r.Context())
		q := r.URL.Query()
		q.Del("created_at__from")
		q.Del("created_at__to")
		r.URL.RawQuery = q.Encode()
		next.ServeHTTP(w, r)
	case FaultCorrupt:
		next.ServeHTTP(&corruptingWriter{ResponseWriter: w}, r)
	default:
		f.serveChanged(w, r, next)
	}
}

// plain asks the simulator itself for an answer without compression, so that a
// fault can work on the bytes.
func plain(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("Accept-Encoding")
	return r
}

func (f Fault) serveStatus(w http.ResponseWriter, status int) {
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	switch f.Body {
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(htmlPage)) // the client may be gone
	case "empty":
		w.WriteHeader(status)
	default:
		writeError(w, status, http.StatusText(status))
	}
}

func (f Fault) serveTokenError(w http.ResponseWriter) {
	status, class := f.Status, f.Body
	if status == 0 {
		status = http.StatusUnauthorized
	}
	class = cmp.Or(class, "invalid_client")
	if class == "html" || class == "empty" {
		f.serveStatus(w, status)
		return
	}
	writeOAuthError(w, status, class, "")
}

// pause waits and reports whether the request still lives.
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

// serveChanged answers with a changed JSON body.
func (f Fault) serveChanged(w http.ResponseWriter, r *http.Request, next http.Handler) {
	var held heldAnswer
	next.ServeHTTP(&held, plain(r))
	body := held.body.Bytes()
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if held.status == http.StatusOK && dec.Decode(&doc) == nil {
		f.change(doc)
		if b, err := json.Marshal(doc); err == nil {
			body = b
		}
	}
	for k, v := range held.header {
		w.Header()[k] = v
	}
	if len(body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(max(held.status, http.StatusOK))
	_, _ = w.Write(body) // the client may be gone
}

// change applies the fault to a JSON answer.
func (f Fault) change(doc map[string]any) {
	rows, _ := doc["data"].([]any)
	switch f.Kind {
	case FaultEmptyList:
		doc["data"], doc["pagination"] = []any{}, map[string]any{"next": nil, "previous": nil}
		f.setTotal(doc, 0)
	case FaultHalfPage:
		doc["data"] = rows[:len(rows)/2]
	case FaultTotalLie:
		f.setTotal(doc, f.Value)
	case FaultTotalCap:
		if n, ok := doc["total_count"].(json.Number); ok {
			if total, err := n.Int64(); err == nil && total > int64(f.Value) {
				doc["total_count"] = f.Value
			}
		}
	case FaultTotalMissing:
		delete(doc, "total_count")
	case FaultWrongSize:
		if n, ok := doc["file_size"].(json.Number); ok {
			size, _ := n.Int64() // the simulator wrote it
			doc["file_size"] = size + 1
		}
	case FaultNewFields, FaultNewEnums:
		f.modernize(doc)
	default:
	}
}

func (f Fault) setTotal(doc map[string]any, n int) {
	if _, ok := doc["total_count"]; ok {
		doc["total_count"] = n
	}
}

// modernize changes every object of the answer.
func (f Fault) modernize(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			f.modernize(e)
		}
	case map[string]any:
		for _, e := range v {
			f.modernize(e)
		}
		if f.Kind == FaultNewFields {
			v["new_field"] = map[string]any{"since": "tomorrow", "values": []any{1, "two", nil}}
		} else if _, ok := v["type"].(string); ok {
			v["type"] = "hologram"
		}
	}
}

// heldAnswer keeps an answer in memory.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is for http.ResponseWriter.
func (h *heldAnswer) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

// WriteHeader is for http.ResponseWriter.
func (h *heldAnswer) WriteHeader(code int) {
	if h.status == 0 {
		h.status = code
	}
}

// Write is for http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}
