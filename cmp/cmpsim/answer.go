package cmpsim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// maxBody is the most that is read of a body, in bytes.
const maxBody = 1 << 20

// The documented messages (facts.md 11).
const (
	msgUnauthorized = "Unauthorized"
	msgNotFound     = "Resource not found"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, _ := json.Marshal(v) // answers hold nothing that has no JSON form
	writeBytes(w, status, b)
}

// writeBytes answers a JSON body.
func writeBytes(w http.ResponseWriter, status int, b []byte) {
	if len(b) > 0 {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // fails when the client has left
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"message": message})
}

func answerNotFound(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, msgNotFound)
}

// paramError is about a parameter or a key of a body that the document does not allow.
type paramError struct{ name, problem string }

// Error is for the error interface.
func (e *paramError) Error() string { return fmt.Sprintf("%s: %s", e.name, e.problem) }

// writeFailure answers an error by its class, in the documented shape (facts.md 11).
func writeFailure(w http.ResponseWriter, err error) {
	var param *paramError
	switch {
	case errors.As(err, &param):
		writeJSON(w, http.StatusBadRequest, map[string]any{
			"message": "Invalid " + param.name, "errors": map[string]any{param.name: []string{param.problem}},
		})
	case errors.Is(err, errNoResource):
		writeError(w, http.StatusNotFound, msgNotFound)
	case errors.Is(err, ErrNotFound):
		writeError(w, http.StatusNotFound, err.Error())
	default:
		writeError(w, http.StatusBadRequest, err.Error())
	}
}

// decodeStrict reads one JSON value of at most limit bytes and refuses unknown keys.
func decodeStrict(r *http.Request, limit int64, v any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, limit))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// write sends a reply, compressed when the client accepts that (facts.md 2).
func (h *apiHost) write(w http.ResponseWriter, r *http.Request, out reply) {
	maps.Copy(w.Header(), out.header)
	var body []byte
	if out.body != nil {
		body, _ = json.Marshal(out.body) // see writeJSON
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Vary", "Accept-Encoding")
			body = h.compress(body)
		}
	}
	writeBytes(w, out.status, body)
}

// compress reuses its compressors, which are large.
func (h *apiHost) compress(body []byte) []byte {
	zw, ok := h.gzips.Get().(*gzip.Writer)
	if !ok {
		zw, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	}
	defer h.gzips.Put(zw)
	var out bytes.Buffer
	zw.Reset(&out)
	_, _ = zw.Write(body) // a buffer accepts everything
	_ = zw.Close()        // likewise
	return out.Bytes()
}
