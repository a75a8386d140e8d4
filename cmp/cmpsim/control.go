package cmpsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// controlMux serves the control API, which is the simulator's own and needs no login. README.md is
// its reference.
func (s *Simulator) controlMux() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, value func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, value())
		})
	}
	get("/state", func() any { return s.State() })
	get("/requests", func() any { return s.Requests() })
	get("/deliveries", func() any { return s.Deliveries() })
	get("/faults", func() any { return s.Faults() })
	get("/folders", func() any { return s.Folders() })
	get("/labels", func() any { return s.Labels() })
	get("/endpoints", func() any { return s.endpoints })
	mux.HandleFunc("GET /assets", s.serveTruth)
	mux.HandleFunc("POST /edit", accept(s.runEdit))
	mux.HandleFunc("POST /editor", accept((&editorDesk{lib: s.Library, editors: map[editorKey]*Editor{}}).work))
	mux.HandleFunc("POST /webhooks", accept(func(h Webhook) (any, error) { return nil, s.RegisterWebhook(h) }))
	mux.HandleFunc("POST /webhooks/faults", accept(func(f WebhookFaults) (any, error) {
		s.SetWebhookFaults(f)
		return nil, nil
	}))
	mux.HandleFunc("POST /webhooks/send", accept(func(payload json.RawMessage) (any, error) { return nil, s.SendEvent(payload) }))
	mux.HandleFunc("POST /webhooks/wait", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, s.WaitDelivered(r.Context()))
	})
	mux.HandleFunc("POST /faults", accept(func(f Fault) (any, error) {
		id, err := s.AddFault(f)
		return map[string]int{"id": id}, err
	}))
	mux.HandleFunc("DELETE /faults", s.serveClearFaults)
	mux.HandleFunc("POST /pace", acceptPart(s.Pace, s.SetPace))
	mux.HandleFunc("POST /behavior", acceptPart(s.Behavior, s.SetBehavior))
	mux.HandleFunc("POST /quota", accept(func(q struct{ Used int }) (any, error) {
		s.SetQuotaUsed(q.Used)
		return nil, nil
	}))
	mux.HandleFunc("POST /counters/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetCounters()
		answer(w, nil, nil)
	})
	mux.HandleFunc("POST /tokens/revoke", s.serveRevokeTokens)
	return mux
}

// answer answers v, or {"ok":true} for nil, or an error by its class.
func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err != nil:
		writeFailure(w, err)
	case v == nil:
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
	default:
		writeJSON(w, http.StatusOK, v)
	}
}

// maxControlBody has room for a bulk_delete of a large library.
const maxControlBody = 64 << 20

// accept makes a handler of a function of a JSON body.
func accept[T any](do func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		if err := decodeStrict(r, maxControlBody, &v); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		out, err := do(v)
		answer(w, out, err)
	}
}

// acceptPart makes a handler that changes only the given keys of a value and answers all of it.
func acceptPart[T any](current func() T, replace func(T)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := current()
		if err := decodeStrict(r, maxControlBody, &v); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		replace(v)
		writeJSON(w, http.StatusOK, v)
	}
}

// serveTruth answers the living assets.
func (s *Simulator) serveTruth(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if id := query.Get("id"); id != "" {
		a, err := s.Asset(id)
		answer(w, a, err)
		return
	}
	offset, err := intParam(query, "offset")
	if err != nil {
		answer(w, nil, err)
		return
	}
	limit, err := intParam(query, "limit")
	if err != nil {
		answer(w, nil, err)
		return
	}
	all, err := s.Assets(offset, limit, query.Get("sha256") != "false")
	answer(w, all, err)
}

func intParam(query url.Values, name string) (int, error) {
	if !query.Has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil {
		return 0, fmt.Errorf("%s must be an integer: %w", name, ErrInvalid)
	}
	return n, nil
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
	answer(w, nil, nil)
}

func (s *Simulator) serveRevokeTokens(w http.ResponseWriter, r *http.Request) {
	s.RevokeAccessTokens()
	if r.URL.Query().Get("refresh") == "true" {
		s.RevokeRefreshTokens()
	}
	answer(w, nil, nil)
}
