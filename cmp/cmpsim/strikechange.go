package cmpsim

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
)

// answerChanges are the faults that change a JSON answer.
func answerChanges() map[FaultKind]func(Fault, map[string]any) {
	return map[FaultKind]func(Fault, map[string]any){
		FaultEmptyList: func(_ Fault, doc map[string]any) {
			doc["data"], doc["pagination"] = []any{}, pagination{}
			changeNumber(doc, "total_count", func(int64) int64 { return 0 })
		},
		FaultHalfPage: func(_ Fault, doc map[string]any) {
			rows, _ := doc["data"].([]any)
			doc["data"] = rows[:len(rows)/2]
		},
		FaultTotalCap: func(f Fault, doc map[string]any) {
			changeNumber(doc, "total_count", func(n int64) int64 { return min(n, int64(f.Value)) })
		},
		FaultTotalLie: func(f Fault, doc map[string]any) {
			changeNumber(doc, "total_count", func(int64) int64 { return int64(f.Value) })
		},
		FaultTotalMissing: func(_ Fault, doc map[string]any) { delete(doc, "total_count") },
		FaultWrongSize: func(_ Fault, doc map[string]any) {
			changeNumber(doc, "file_size", func(n int64) int64 { return n + 1 })
		},
		FaultNewFields: func(_ Fault, doc map[string]any) {
			everyObject(doc, func(o map[string]any) {
				o["new_field"] = map[string]any{"since": "tomorrow", "values": []any{1, "two", nil}}
			})
		},
		FaultNewEnums: func(_ Fault, doc map[string]any) {
			everyObject(doc, func(o map[string]any) {
				if _, ok := o["type"].(string); ok {
					o["type"] = "hologram"
				}
			})
		},
	}
}

// changeNumber changes an integer of an answer, if it has one under key.
func changeNumber(doc map[string]any, key string, change func(int64) int64) {
	if n, ok := doc[key].(json.Number); ok {
		i, _ := n.Int64() // the simulator wrote an integer
		doc[key] = change(i)
	}
}

// everyObject calls do with each JSON object in v, inner ones first.
func everyObject(v any, do func(map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			everyObject(e, do)
		}
	case map[string]any:
		for _, e := range v {
			everyObject(e, do)
		}
		do(v)
	}
}

// serveChanged answers 200 with a changed body; other answers pass unchanged.
func (s strike) serveChanged(change func(Fault, map[string]any)) {
	held := heldAnswer{header: http.Header{}, status: http.StatusOK}
	s.next.ServeHTTP(&held, s.uncompressed())
	body := held.body.Bytes()
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if held.status == http.StatusOK && dec.Decode(&doc) == nil {
		change(s.Fault, doc)
		body, _ = json.Marshal(doc) // what was decoded can be encoded
	}
	maps.Copy(s.w.Header(), held.header)
	writeBytes(s.w, held.status, body)
}

// heldAnswer keeps an answer in memory.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is for http.ResponseWriter.
func (h *heldAnswer) Header() http.Header { return h.header }

// WriteHeader is for http.ResponseWriter.
func (h *heldAnswer) WriteHeader(code int) { h.status = code }

// Write is for http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }
