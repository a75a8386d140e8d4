package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/audit/audittest"
)

// monthRuns are the rows of damsync.run and what audits keep.
type monthRuns struct {
	last     int64
	running  map[string]state.Run
	suspects map[string]bool // of the run
	windows  []state.AuditWindow
	audits   []state.Audit
}

func (m *monthMirror) HasRunning(_ context.Context, kind string) (bool, error) {
	_, running := m.runs.running[kind]
	return running, nil
}

func (m *monthMirror) StartRun(_ context.Context, kind, _ string, _ time.Duration) (state.Run, error) {
	m.runs.last++
	run := state.Run{ID: m.runs.last, Kind: kind, StartedAt: m.world.time(), Cursor: json.RawMessage(`{}`)}
	m.runs.running[kind] = run
	m.runs.suspects = map[string]bool{}
	return run, nil
}

func (m *monthMirror) RecordProgress(_ context.Context, _ state.Run, p state.Progress, _ time.Duration) error {
	for _, id := range p.Suspects {
		m.runs.suspects[id] = true
	}
	return nil
}

// FinishRun asks for the suspects that were not read since the run began.
func (m *monthMirror) FinishRun(_ context.Context, run state.Run, class grant.Class) (n int, err error) {
	for id := range m.runs.suspects {
		place := audittest.Place(id)
		if m.assets.Alive(place) && m.known[place].readAt < run.StartedAt.Sub(monthStart()) {
			m.want(place, monthLookup{class: class, obs: state.Observation{Kind: run.Kind, RunID: run.ID}, gone: true, due: m.world.now})
			n++
		}
	}
	delete(m.runs.running, run.Kind)
	return n, nil
}

func (m *monthMirror) FailRun(_ context.Context, run state.Run, _ string) error {
	delete(m.runs.running, run.Kind)
	return nil
}

func (m *monthMirror) SaveAudit(_ context.Context, _ int64, a state.Audit) error {
	m.runs.audits = append(m.runs.audits, a)
	return nil
}

// windowOf closes a window that is half open.
func windowOf(from, to time.Time) audit.Window {
	if !to.IsZero() {
		to = to.Add(-time.Second)
	}
	return audit.Window{From: from, To: to}
}

func (m *monthMirror) CountWindow(ctx context.Context, from, to time.Time) (int, error) {
	return m.assets.Count(ctx, windowOf(from, to))
}

func (m *monthMirror) NthCreated(ctx context.Context, from, to time.Time, n int) (time.Time, error) {
	return m.assets.Nth(ctx, windowOf(from, to), n)
}

func (m *monthMirror) WindowRows(ctx context.Context, from, to time.Time) ([]state.WindowRow, error) {
	rows, err := m.assets.Rows(ctx, windowOf(from, to))
	out := make([]state.WindowRow, len(rows))
	for i, row := range rows {
		out[i] = state.WindowRow(row)
	}
	return out, err
}

func (m *monthMirror) AuditWindows(context.Context) ([]state.AuditWindow, error) {
	slices.SortStableFunc(m.runs.windows, func(a, b state.AuditWindow) int {
		if c := a.CountedAt.Compare(b.CountedAt); c != 0 {
			return c
		}
		return a.From.Compare(b.From)
	})
	return slices.Clone(m.runs.windows), nil
}

func (m *monthMirror) ReplaceAuditWindows(_ context.Context, old, windows []state.AuditWindow) error {
	gone := map[time.Time]bool{}
	for _, w := range old {
		gone[w.From] = true
	}
	m.runs.windows = append(slices.DeleteFunc(m.runs.windows, func(w state.AuditWindow) bool { return gone[w.From] }), windows...)
	return nil
}

// finding is a change that was found, for Announced.
type finding struct {
	at    time.Duration
	place int
	by    string
}

func (m *monthMirror) found(place int, by string) {
	m.findings = append(m.findings, finding{m.world.now, place, by})
}

// Announced judges what was found by whether an event told of it.
func (m *monthMirror) Announced(_ context.Context, from, upTo time.Time, before, after time.Duration) (state.Announcement, error) {
	var a state.Announcement
	first, last := from.Sub(monthStart()), upTo.Sub(monthStart())
	for _, f := range m.findings {
		if f.at <= first || f.at > last {
			continue
		}
		told := f.by == string(grant.Webhook) || slices.ContainsFunc(m.reports[f.place], func(at time.Duration) bool {
			return at >= f.at-before && at <= f.at+after
		})
		if told {
			a.Announced++
			continue
		}
		a.Unannounced++
		a.Asset = audittest.ID(f.place)
	}
	m.findings = slices.DeleteFunc(m.findings, func(f finding) bool { return f.at <= first })
	return a, nil
}
