package sync

import (
	"context"
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// A round counts every window once; it takes a day, spread over the runs of the schedule.
const auditRound = 24 * time.Hour

// auditTurns counts the windows whose turn it is and reads the next page of each: as many as
// the time since the last run is of a day. Each asset is counted every day, and read once while
// its window is read from end to end.
func (e *Engine) auditTurns(ctx context.Context) error {
	last, err := e.store.Observation(ctx, state.KindAuditWindows)
	if err != nil {
		return err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return err
	}
	windows, err := e.planWindows(ctx)
	if err != nil {
		return err
	}
	since := time.Hour // at first
	if !last.LastSuccess.IsZero() {
		since = now.Sub(last.LastSuccess)
	}
	due := min(len(windows), 1+int(float64(len(windows))*min(1, float64(since)/float64(auditRound))))
	o := AuditOptions{Class: grant.Audit, RequestedBy: "schedule"}
	_, err = e.audit(ctx, o, state.KindAuditWindows, state.AuditWindows, func(ctx context.Context, a *audit.Auditor) (audit.Report, error) {
		return e.takeTurns(ctx, a, windows[:due], now)
	})
	return err
}

// takeTurns audits the windows and keeps how far each is read.
func (e *Engine) takeTurns(ctx context.Context, a *audit.Auditor, windows []state.AuditWindow, now time.Time) (audit.Report, error) {
	turns := make([]audit.Turn, len(windows))
	for i, w := range windows {
		turns[i] = audit.Turn{Window: audit.Window{From: w.From, To: w.To}, Offset: w.Page, LastID: w.LastID, LastAt: w.LastAt}
	}
	turns, report, err := a.Windows(ctx, turns)
	if err != nil && !believed(report, err) {
		return report, err // the turns come again
	}
	windows = windows[:len(turns)]
	after := make([]state.AuditWindow, len(windows))
	for i, t := range turns {
		after[i] = windowAfter(windows[i], t, now)
	}
	// What ended the context must not take the turns with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return report, errors.Join(err, e.store.ReplaceAuditWindows(ctx, windows, after))
}

// believed tells whether the turns before the one that failed count: a quota that never
// suffices for all of them must not keep the others from going on. Suspects of an audit
// that failed are not looked up, so there the window that shows them has to be counted again.
func believed(r audit.Report, err error) bool {
	var deferred *grant.Deferred
	return errors.As(err, &deferred) || len(r.Suspects) == 0 && !errors.Is(err, audit.ErrUncountable)
}

// windowAfter is a window after its turn at now.
func windowAfter(w state.AuditWindow, t audit.Turn, now time.Time) state.AuditWindow {
	if w.CycleAt.IsZero() {
		w.CycleAt = now
	}
	w.CountedAt = now
	w.Page, w.LastID, w.LastAt = t.Offset, t.LastID, t.LastAt
	if t.Done {
		w.ReadSince = w.CycleAt
	}
	if t.Done || t.Anew {
		w.CycleAt = time.Time{}
	}
	return w
}

// windowSize is how many assets a window has, so that counting all of them costs what a day may.
func (e *Engine) windowSize(assets int) int {
	const page = audit.RowsATurn
	return max(page, (assets+auditsADay(e.opts.MonthLimit)-1)/auditsADay(e.opts.MonthLimit))
}

// planWindows lists the windows, those first whose turn is the longest ago. They are cut anew when the
// library or the budget has grown or shrunk; what was proven of the old ones holds for the new.
func (e *Engine) planWindows(ctx context.Context) ([]state.AuditWindow, error) {
	windows, err := e.store.AuditWindows(ctx)
	if err != nil {
		return nil, err
	}
	assets, err := e.store.CountAssets(ctx)
	if err != nil {
		return nil, err
	}
	size := e.windowSize(assets)
	if want := assets/size + 1; len(windows) == 0 || len(windows) > 2*want {
		whole := state.AuditWindow{}
		if len(windows) > 0 {
			whole = proven(windows)
		}
		return e.cutWindow(ctx, windows, whole, assets, size)
	}
	return e.cutLarge(ctx, windows, size)
}

// proven is what holds for all of the windows together.
func proven(windows []state.AuditWindow) state.AuditWindow {
	all := state.AuditWindow{CountedAt: windows[0].CountedAt, ReadSince: windows[0].ReadSince}
	for _, w := range windows {
		if w.ReadSince.Before(all.ReadSince) {
			all.ReadSince = w.ReadSince
		}
	}
	return all // the first is the one counted the longest ago
}

// cutLarge cuts the windows that have grown to twice their size.
func (e *Engine) cutLarge(ctx context.Context, windows []state.AuditWindow, size int) ([]state.AuditWindow, error) {
	cut := false
	for _, w := range windows {
		from, to := bounds(audit.Window{From: w.From, To: w.To})
		n, err := e.store.CountWindow(ctx, from, to)
		if err != nil {
			return nil, err
		}
		if n <= 2*size {
			continue
		}
		parts, err := e.cutWindow(ctx, []state.AuditWindow{w}, w, n, size)
		if err != nil {
			return nil, err
		}
		cut = cut || len(parts) > 1
	}
	if !cut {
		return windows, nil
	}
	return e.store.AuditWindows(ctx)
}

// cutWindow puts windows of size assets in the place of old, which together are w.
func (e *Engine) cutWindow(ctx context.Context, old []state.AuditWindow, w state.AuditWindow, assets, size int) ([]state.AuditWindow, error) {
	var parts []state.AuditWindow
	from, to := bounds(audit.Window{From: w.From, To: w.To})
	part := state.AuditWindow{From: w.From, CountedAt: w.CountedAt, ReadSince: w.ReadSince}
	for n := size; n < assets; n += size {
		at, err := e.store.NthCreated(ctx, from, to, n)
		if err != nil {
			return nil, err
		}
		if at = at.UTC().Truncate(time.Second); !at.After(part.From) {
			continue // one second holds more than a window
		}
		part.To = at.Add(-time.Second)
		if part.From.IsZero() || !part.To.Before(part.From) {
			parts = append(parts, part)
			part.From = at
		}
	}
	if len(parts) == 0 && len(old) == 1 {
		return old, nil // one second, which cannot be cut
	}
	part.To = w.To
	parts = append(parts, part)
	return parts, e.store.ReplaceAuditWindows(ctx, old, parts)
}
