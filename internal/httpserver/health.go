package httpserver

import (
	"context"
	"encoding/json"
	"net/http"
)

// serveHealth reports that the process answers. It checks no dependencies.
func serveHealth(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") }

type readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

// serveReady runs the readiness checks and reports each result.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	state := readiness{Ready: true, Checks: map[string]string{}}
	for check, err := range s.options.Ready(ctx) {
		state.Checks[check] = "ok"
		if err != nil {
			state.Ready, state.Checks[check] = false, err.Error()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !state.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(state) // an error means that the caller has gone
}
