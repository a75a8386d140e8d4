package cmpsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// controlHandler serves the control API, which is the simulator's own and not
// the CMP's. It has no accounts: it listens on the loopback interface only when
// Start is told so.
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, answer func(url.Values) any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, http.StatusOK, answer(r.URL.Query()))
		})
	}
	get("/state", func(url.Values) any { return s.State() })
	get("/requests", func(url.Values) any { return s.Requests() })
	get("/deliveries", func(url.Values) any { return s.Deliveries() })
	get("/faults", func(url.Values) any { return s.Faults() })
	get("/folders", func(url.Values) any { return s.Folders() })
	get("/labels", func(url.Values) any { return s.Labels() })
	get("/endpoints", func(url.Values) any { return s.Endpoints() })
	mux.HandleFunc("GET /assets", s.serveTruth)
	mux.HandleFunc("POST /edit", s.serveEdit)
	editors := &editorDesk{sim: s, desk: map[editorKey]*Editor{}}
	mux.HandleFunc("POST /editor", take(editors.work))
	mux.HandleFunc("POST /webhooks", take(func(h Webhook) (any, error) { return ok(s.RegisterWebhook(h)) }))
	mux.HandleFunc("POST /webhooks/faults", take(func(f WebhookFaults) (any, error) {
		s.SetWebhookFaults(f)
		return ok(nil)
	}))
	mux.HandleFunc("POST /webhooks/send", take(func(payload json.RawMessage) (any, error) { return ok(s.SendEvent(payload)) }))
	mux.HandleFunc("POST /webhooks/wait", func(w http.ResponseWriter, r *http.Request) {
		answer(w, okay{}, s.WaitDelivered(r.Context()))
	})
	mux.HandleFunc("POST /faults", take(func(f Fault) (any, error) {
		id, err := s.AddFault(f)
		return map[string]int{"id": id}, err
	}))
	mux.HandleFunc("DELETE /faults", s.serveClearFaults)
	mux.HandleFunc("POST /pace", s.servePace)
	mux.HandleFunc("POST /quota", take(func(q struct{ Used int }) (any, error) {
		s.SetQuotaUsed(q.Used)
		return ok(nil)
	}))
	mux.HandleFunc("POST /behavior", s.serveBehavior)
	mux.HandleFunc("POST /counters/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetCounters()
		answer(w, okay{}, nil)
	})
	mux.HandleFunc("POST /tokens/revoke", s.serveRevokeTokens)
	return mux
}

type okay struct {
	OK bool `json:"ok"`
}

func ok(err error) (any, error) { return okay{err == nil}, err }

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		writeError(w, http.StatusNotFound, err.Error())
	case err != nil:
		writeError(w, http.StatusBadRequest, err.Error())
	default:
		if _, is := v.(okay); is {
			v = okay{true}
		}
		writeJSON(w, http.StatusOK, v)
	}
}

// decodeStrict reads one JSON value and refuses keys it does not know.
func decodeStrict(r *http.Request, v any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// take makes a handler of a function of a JSON body.
func take[T any](do func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		if err := decodeStrict(r, &v); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		out, err := do(v)
		answer(w, out, err)
	}
}

// servePace and serveBehavior change only the keys given.
func (s *Simulator) servePace(w http.ResponseWriter, r *http.Request) {
	p := s.Pace()
	if err := decodeStrict(r, &p); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.SetPace(p)
	writeJSON(w, http.StatusOK, p)
}

func (s *Simulator) serveBehavior(w http.ResponseWriter, r *http.Request) {
	b := s.Behavior()
	if err := decodeStrict(r, &b); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.SetBehavior(b)
	writeJSON(w, http.StatusOK, b)
}

func (s *Simulator) serveClearFaults(w http.ResponseWriter, r *http.Request) {
	var ids []int
	for _, v := range r.URL.Query()["id"] {
		id, err := strconv.Atoi(v)
		if err != nil {
			writeError(w, http.StatusBadRequest, "id must be an integer")
			return
		}
		ids = append(ids, id)
	}
	s.ClearFaults(ids...)
	answer(w, okay{}, nil)
}

func (s *Simulator) serveRevokeTokens(w http.ResponseWriter, r *http.Request) {
	s.RevokeAccessTokens()
	if r.URL.Query().Get("refresh") == "true" {
		s.RevokeRefreshTokens()
	}
	answer(w, okay{}, nil)
}
