package observe

import (
	"context"
	"time"

	"damsync/cmp"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// auditSource is the library and the mirror as an audit sees them. It keeps the run's record and its lease. It is for
// one goroutine.
type auditSource struct {
	auditor *Auditor
	run     state.Run
	obs     state.Observation
	readAt  time.Time // of the last page, on the database's clock
	since   state.Progress
}

// Assets implements audit.Library.
func (s *auditSource) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if err := s.progress(ctx, nil); err != nil {
		return cmp.AssetPage{}, err
	}
	var err error
	if s.readAt, err = s.auditor.readTime(ctx); err != nil {
		return cmp.AssetPage{}, err
	}
	s.since.Requests++
	return s.auditor.Source.Assets(ctx, q)
}

// progress records what was done since it was last called, and the suspects.
func (s *auditSource) progress(ctx context.Context, suspects []string) error {
	s.since.Suspects = suspects
	err := s.auditor.Audits.RecordProgress(ctx, s.run, s.since, runLease)
	s.since = state.Progress{}
	return err
}

// Apply implements audit.Mirror.
func (s *auditSource) Apply(ctx context.Context, page cmp.AssetPage) (added int, err error) {
	applied, err := s.auditor.applyItems(ctx, s.obs, s.readAt, page.Items, page.Bad)
	if err != nil {
		return 0, err
	}
	s.since.Seen += len(page.Items)
	s.since.Changed += applied.Changed
	return applied.New + applied.Restored, nil
}

// Count implements audit.Mirror.
func (s *auditSource) Count(ctx context.Context, w audit.Window) (int, error) {
	from, to := halfOpen(w)
	return s.auditor.Audits.CountWindow(ctx, from, to)
}

// Nth implements audit.Mirror.
func (s *auditSource) Nth(ctx context.Context, w audit.Window, n int) (time.Time, error) {
	from, to := halfOpen(w)
	return s.auditor.Audits.NthCreated(ctx, from, to, n)
}

// Rows implements audit.Mirror.
func (s *auditSource) Rows(ctx context.Context, w audit.Window) ([]state.WindowRow, error) {
	from, to := halfOpen(w)
	return s.auditor.Audits.WindowRows(ctx, from, to)
}

// halfOpen returns the bounds of a window, from included and to excluded.
func halfOpen(w audit.Window) (from, to time.Time) {
	if !w.To.IsZero() {
		to = w.To.Add(time.Second)
	}
	return w.From, to
}
