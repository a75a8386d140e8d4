package main

import (
	stdcmp "cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"damsync/internal/state"
)

// runs are the observations, the run of an audit and the windows counted in turn.
type runs struct {
	world        *world
	observations map[string]state.ObservationState
	last         int64
	running      bool            // an audit; nothing else runs
	suspects     map[string]bool // of the run
	windows      []state.AuditWindow
}

func (r *runs) Observation(_ context.Context, kind string) (state.ObservationState, error) {
	return r.observations[kind], nil
}

func (r *runs) BeginObservation(_ context.Context, kind string) error {
	o := r.observations[kind]
	o.LastAttempt = r.world.time()
	r.observations[kind] = o
	return nil
}

func (r *runs) EndObservation(_ context.Context, kind string, cursor json.RawMessage, failure string) error {
	o := r.observations[kind]
	if cursor != nil {
		o.Cursor = cursor
	}
	if failure == "" {
		o.LastSuccess = r.world.time()
	}
	r.observations[kind] = o
	return nil
}

func (r *runs) HasRunning(_ context.Context, kind string) (bool, error) {
	return r.running && kind == state.KindAudit, nil
}

func (r *runs) StartRun(_ context.Context, kind, _ string, _, _ time.Duration) (state.Run, error) {
	r.last++
	r.running = true
	clear(r.suspects)
	return state.Run{ID: r.last, Kind: kind, StartedAt: r.world.time(), Cursor: json.RawMessage(`{}`)}, nil
}

func (r *runs) RecordProgress(_ context.Context, _ state.Run, p state.Progress, _ time.Duration) error {
	for _, id := range p.Suspects {
		r.suspects[id] = true
	}
	return nil
}

func (r *runs) FailRun(context.Context, state.Run, string) error {
	r.running = false
	return nil
}

func (r *runs) SaveAudit(context.Context, int64, state.Audit) error { return nil }

// AuditWindows lists the windows, the one counted longest ago first.
func (r *runs) AuditWindows(context.Context) ([]state.AuditWindow, error) {
	slices.SortStableFunc(r.windows, func(a, b state.AuditWindow) int {
		return stdcmp.Or(a.CountedAt.Compare(b.CountedAt), a.From.Compare(b.From))
	})
	return slices.Clone(r.windows), nil
}

func (r *runs) ReplaceAuditWindows(_ context.Context, old, windows []state.AuditWindow) error {
	r.windows = slices.DeleteFunc(r.windows, func(w state.AuditWindow) bool {
		return slices.ContainsFunc(old, func(o state.AuditWindow) bool { return o.From.Equal(w.From) })
	})
	r.windows = append(r.windows, windows...)
	return nil
}
