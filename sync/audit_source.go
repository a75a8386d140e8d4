package sync

import (
	"context"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// auditSource is the library and the mirror as an audit sees them. It keeps the run's record and
// its lease. It is for one goroutine.
type auditSource struct {
	engine *Engine
	run    state.Run
	obs    state.Observation
	readAt time.Time // of the last page, on the database's clock
	since  state.Progress
}

// Assets implements audit.Library.
func (s *auditSource) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if err := s.progress(ctx, nil); err != nil {
		return cmp.AssetPage{}, err
	}
	var err error
	if s.readAt, err = s.engine.clockedReading(ctx); err != nil {
		return cmp.AssetPage{}, err
	}
	s.since.Requests++
	return s.engine.lib.Assets(ctx, q)
}

// progress records what was done since it last did, and what is missing.
func (s *auditSource) progress(ctx context.Context, suspects []string) error {
	s.since.Suspects = suspects
	err := s.engine.store.RecordProgress(ctx, s.run, s.since, runLease)
	s.since = state.Progress{}
	return err
}

// Apply implements audit.Mirror.
func (s *auditSource) Apply(ctx context.Context, page cmp.AssetPage) (added int, err error) {
	e := s.engine
	rows := make([]library.Asset, len(page.Items))
	for i, it := range page.Items {
		rows[i] = it.Asset
		e.urls.put(it.ID, it.URL)
	}
	var applied state.Applied
	err = e.withRules(func() (err error) {
		applied, err = e.store.ApplySummaries(ctx, s.obs, s.readAt, rows, e.decide)
		return err
	})
	if err != nil {
		return 0, err
	}
	e.logBadRows(s.obs, page.Bad, applied.Failed)
	if applied.FolderUnknown {
		e.wantReferences(ctx)
	}
	s.since.Seen += len(rows)
	s.since.Changed += applied.Changed
	return applied.New + applied.Restored, nil
}

// bounds are a window's, half open.
func bounds(w audit.Window) (from, to time.Time) {
	if !w.To.IsZero() {
		to = w.To.Add(time.Second)
	}
	return w.From, to
}

// Count implements audit.Mirror.
func (s *auditSource) Count(ctx context.Context, w audit.Window) (int, error) {
	from, to := bounds(w)
	return s.engine.store.CountWindow(ctx, from, to)
}

// Nth implements audit.Mirror.
func (s *auditSource) Nth(ctx context.Context, w audit.Window, n int) (time.Time, error) {
	from, to := bounds(w)
	return s.engine.store.NthCreated(ctx, from, to, n)
}

// Rows implements audit.Mirror.
func (s *auditSource) Rows(ctx context.Context, w audit.Window) ([]audit.Row, error) {
	from, to := bounds(w)
	rows, err := s.engine.store.WindowRows(ctx, from, to)
	out := make([]audit.Row, len(rows))
	for i, row := range rows {
		out[i] = audit.Row(row)
	}
	return out, err
}
