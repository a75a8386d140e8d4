// Package audit compares a library with the mirror by counting. A page of 100 assets carries the count of all assets
// that match, so one request both counts a window of created_at and verifies a hundred rows of it. A window whose counts
// differ is cut in two where the mirror's rows divide evenly; the count of the second half is inferred from the whole
// and the first half. A window of at most 100 assets is exact and atomic. One lost asset among a million costs about 14
// requests.
//
// An asset that the mirror has and the library does not list is only a suspect: the caller compares it with what was
// read since, and only the asset's own 404 is a removal.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/state"
)

// ErrUncountable is returned when counts prove nothing: the library's total_count is missing or contradicts the rows,
// or the library ignores the filter by created_at. Only a sweep can find the differences then.
var ErrUncountable = errors.New("the library cannot be audited by counting")

// Library lists assets; *cmp.Client is one.
type Library interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
}

// Mirror is our copy of the library: the assets not known to be removed.
type Mirror interface {
	// Count counts the assets of w.
	Count(ctx context.Context, w Window) (int, error)
	// Nth returns the created_at of the asset that n assets of w precede, ordered by created_at. It fails when w has
	// no more than n assets.
	Nth(ctx context.Context, w Window, n int) (time.Time, error)
	// Rows lists the assets of w in no order.
	Rows(ctx context.Context, w Window) ([]state.WindowRow, error)
	// Apply writes the rows of the page that was requested last. It returns the number of rows that were missing from
	// the mirror or marked removed.
	Apply(ctx context.Context, page cmp.AssetPage) (added int, err error)
}

// Auditor compares a library with a mirror. Its fields must not change during an audit.
type Auditor struct {
	Library  Library
	Mirror   Mirror
	Bounds   Bounds       // from an earlier report; the zero value costs a request or two to find out
	Progress func(Report) // after each request; may be nil
}

// Report is the result of an audit, so far or at its end.
type Report struct {
	Requests int
	Windows  int      // windows counted by a request each
	Rows     int      // rows on pages, compared with the mirror
	Extra    int      // assets that the mirror lacked and that the audit added
	Suspects []string // assets the mirror has and the library does not list
	Hidden   int      // assets that the library counted and, requested twice, did not list
	Bounds   Bounds
	// Complete reports whether every asset was counted and every difference found: each asset that the library held
	// when the audit began is in the mirror, and each that it lacked is a suspect.
	Complete bool
	Notes    []string // peculiarities of the library, for people
}

// Missing returns the number of assets that the mirror has and the library does not list.
func (r *Report) Missing() int { return len(r.Suspects) }

// note adds a note unless the report has it already.
func (r *Report) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// maxRounds bounds how often the whole library is counted while editors keep changing it.
const maxRounds = 3

// Whole audits the whole library. It costs one request when nothing differs. It ends when the counts of the whole
// agree, or with Complete false when editors change the library faster than the audit reads it. The report is valid even
// with an error, but nothing may be inferred from it when the error is ErrUncountable.
func (a *Auditor) Whole(ctx context.Context) (Report, error) {
	r := a.start()
	err := r.whole(ctx)
	return r.report(), err
}

// Windows takes a turn at each window: it counts the window, reads its next page, and finds the differences when the
// counts differ. It returns the finished turns in the order given, which are all of them unless there is an error.
func (a *Auditor) Windows(ctx context.Context, turns []Turn) ([]Turn, Report, error) {
	r := a.start()
	out := append([]Turn(nil), turns...)
	for i := range out {
		if err := r.takeTurn(ctx, &out[i]); err != nil {
			return out[:i], r.report(), err
		}
	}
	r.found.Complete = !r.changing
	return out, r.report(), nil
}

func (a *Auditor) start() *run {
	return &run{
		Auditor: a, found: Report{Bounds: a.Bounds}, suspects: map[string]bool{}, hidden: map[Window]int{},
		stats: map[int]*probeStats{},
	}
}

// run is one audit.
type run struct {
	*Auditor
	found      Report
	suspects   map[string]bool
	hidden     map[Window]int      // assets that the library counted and did not list, by exact window
	explained  prefixSums          // suspects count 1, hidden assets -1: the part of the differences that is found
	stats      map[int]*probeStats // by size of the windows
	changing   bool                // a tie group changed while it was read
	checks     int                 // calls of checkSums
	probeLimit int                 // requests after which shouldProbe is false for windows larger than a page
}

func (r *run) report() Report {
	for _, n := range r.hidden {
		r.found.Hidden += n
	}
	return r.found
}

func (r *run) suspect(row state.WindowRow) {
	if r.suspects[row.ID] {
		return
	}
	r.suspects[row.ID] = true
	r.found.Suspects = append(r.found.Suspects, row.ID)
	r.explained.add(row.CreatedAt, 1)
}

// setHidden records that the library counts n assets of an exact window that it does not list.
func (r *run) setHidden(w Window, n int) {
	at := w.From
	if at.IsZero() {
		at = w.To
	}
	r.explained.add(at, r.hidden[w]-n)
	r.hidden[w] = n
}

// residual returns the part of a window's difference that nothing found so far explains.
func (r *run) residual(w Window, diff int) int { return diff + r.explained.in(w) }

func (r *run) whole(ctx context.Context) error {
	for round := 1; ; round++ {
		r.changing = false
		even, err := r.round(ctx, round)
		switch {
		case err != nil:
			return err
		case even && !r.changing:
			r.found.Complete = true
			return nil
		case round >= maxRounds:
			r.found.note("the counts kept changing; the next audit finds the remaining differences")
			return nil
		}
	}
}

// round counts the whole library and, unless it is the last round, finds the differences. It reports whether the counts
// agree.
func (r *run) round(ctx context.Context, round int) (even bool, err error) {
	var all Window
	whole, err := r.probe(ctx, all)
	switch {
	case err != nil:
		return false, err
	case whole.total == 0 && whole.mirror > 0:
		return false, fmt.Errorf("%w: it lists nothing, but the mirror has %d assets", ErrUncountable, whole.mirror)
	case r.residual(all, whole.diff) == 0:
		return true, nil
	case round >= maxRounds:
		return false, nil
	}
	r.probeLimit = max(whole.mirror*12/10/pageSize, pageSize/5)
	return false, r.descend(ctx, all, whole)
}
