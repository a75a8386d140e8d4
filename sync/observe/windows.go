package observe

import (
	"context"
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// auditRound is the time in which every window is counted once, spread over the runs of the schedule.
const auditRound = 24 * time.Hour

// AuditWindows counts the windows whose turn it is and reads the next page of each. It takes the share of all windows that
// the time since the last run is of a day. Each asset is counted every day, and read once in each cycle of its window.
func (a *Auditor) AuditWindows(ctx context.Context) error {
	last, err := a.Audits.Observation(ctx, state.KindAuditWindows)
	if err != nil {
		return err
	}
	now, err := a.Audits.Now(ctx)
	if err != nil {
		return err
	}
	windows, err := a.planWindows(ctx)
	if err != nil {
		return err
	}
	since := time.Hour // at first
	if !last.LastSuccess.IsZero() {
		since = now.Sub(last.LastSuccess)
	}
	due := min(len(windows), 1+int(float64(len(windows))*min(1, float64(since)/float64(auditRound))))
	o := AuditOptions{Class: grant.Audit, RequestedBy: "schedule"}
	kind := auditKind{observation: state.KindAuditWindows, scope: state.AuditWindows}
	_, err = a.audit(ctx, kind, o, func(ctx context.Context, by *audit.Auditor) (audit.Report, error) {
		return a.takeTurns(ctx, by, windows[:due], now)
	})
	return err
}

// takeTurns audits the windows and records how far each is read.
func (a *Auditor) takeTurns(ctx context.Context, by *audit.Auditor, windows []state.AuditWindow, now time.Time) (audit.Report, error) {
	turns := make([]audit.Turn, len(windows))
	for i, w := range windows {
		turns[i] = audit.Turn{Window: audit.Window{From: w.From, To: w.To}, Offset: w.Page, LastID: w.LastID, LastAt: w.LastAt}
	}
	turns, report, err := by.Windows(ctx, turns)
	if err != nil && !believed(report, err) {
		return report, err // the turns are repeated
	}
	windows = windows[:len(turns)]
	after := make([]state.AuditWindow, len(windows))
	for i, t := range turns {
		after[i] = windowAfter(windows[i], t, now)
	}
	// The context may have ended; the turns must still be recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return report, errors.Join(err, a.Audits.ReplaceAuditWindows(ctx, windows, after))
}

// believed reports whether the turns before the failed one count: a quota that never suffices for all of them must not
// keep the others from making progress. The suspects of a failed audit are not looked up, so a window that shows some
// has to be counted again.
func believed(r audit.Report, err error) bool {
	var deferred *grant.Deferred
	return errors.As(err, &deferred) || len(r.Suspects) == 0 && !errors.Is(err, audit.ErrUncountable)
}

// windowAfter returns a window after its turn at now.
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

// maxWindows bounds the number of windows, which are all counted within a day: 10,000 requests a month, a twentieth of
// 200,000. Windows that the ledger's share for audits does not cover wait for their turn.
const maxWindows = 333

// windowSize is the number of assets in a window: at least what one turn reads.
func windowSize(assets int) int {
	return max(audit.RowsATurn, (assets+maxWindows-1)/maxWindows)
}

// planWindows lists the windows, the one counted longest ago first. It cuts them again when the library has grown or
// shrunk much; the new windows keep what was proven for the old ones.
func (a *Auditor) planWindows(ctx context.Context) ([]state.AuditWindow, error) {
	windows, err := a.Audits.AuditWindows(ctx)
	if err != nil {
		return nil, err
	}
	assets, err := a.Store.CountAssets(ctx)
	if err != nil {
		return nil, err
	}
	size := windowSize(assets)
	if want := assets/size + 1; len(windows) == 0 || len(windows) > 2*want {
		whole := state.AuditWindow{}
		if len(windows) > 0 {
			whole = provenBy(windows)
		}
		return a.cutWindow(ctx, windows, whole, assets, size)
	}
	return a.cutLarge(ctx, windows, size)
}

// provenBy returns what was proven for all windows together.
func provenBy(windows []state.AuditWindow) state.AuditWindow {
	all := state.AuditWindow{CountedAt: windows[0].CountedAt, ReadSince: windows[0].ReadSince}
	for _, w := range windows {
		if w.ReadSince.Before(all.ReadSince) {
			all.ReadSince = w.ReadSince
		}
	}
	return all // the first was counted longest ago
}

// cutLarge cuts the windows that have grown to more than twice their size.
func (a *Auditor) cutLarge(ctx context.Context, windows []state.AuditWindow, size int) ([]state.AuditWindow, error) {
	cut := false
	for _, w := range windows {
		from, to := halfOpen(audit.Window{From: w.From, To: w.To})
		n, err := a.Audits.CountWindow(ctx, from, to)
		if err != nil {
			return nil, err
		}
		if n <= 2*size {
			continue
		}
		parts, err := a.cutWindow(ctx, []state.AuditWindow{w}, w, n, size)
		if err != nil {
			return nil, err
		}
		cut = cut || len(parts) > 1
	}
	if !cut {
		return windows, nil
	}
	return a.Audits.AuditWindows(ctx)
}

// cutWindow replaces old, which together are w, by windows of size assets.
func (a *Auditor) cutWindow(ctx context.Context, old []state.AuditWindow, w state.AuditWindow, assets, size int) ([]state.AuditWindow, error) {
	var parts []state.AuditWindow
	from, to := halfOpen(audit.Window{From: w.From, To: w.To})
	part := state.AuditWindow{From: w.From, CountedAt: w.CountedAt, ReadSince: w.ReadSince}
	for n := size; n < assets; n += size {
		at, err := a.Audits.NthCreated(ctx, from, to, n)
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
	return parts, a.Audits.ReplaceAuditWindows(ctx, old, parts)
}
