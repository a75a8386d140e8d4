// Package audit compares a library with the mirror by counting. A page of 100
// assets comes with the count of all that match, so one request both counts a
// window of created_at and verifies a hundred rows of it. Windows that count
// differently are cut in two where the mirror's rows divide evenly; the second
// half is inferred from the whole and the first; a window of at most 100 assets
// is exact and atomic. One lost asset among a million costs about 14 requests.
//
// What the mirror has and the library does not list is a suspect, no more:
// who calls re-checks it against what has been read since, and only the asset's
// own 404 is a removal.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
)

// ErrUncountable is the class of an audit that cannot infer anything: the
// library's total_count is missing, contradicts the rows, or the filter by
// created_at is not obeyed. Only a sweep can tell what differs.
var ErrUncountable = errors.New("the library cannot be audited by counting")

// Library lists assets; *cmp.Client is one.
type Library interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
}

// Row is what the mirror knows of one living asset, as far as an audit needs it.
type Row struct {
	ID                    string
	CreatedAt, ModifiedAt time.Time
}

// Mirror is our copy of the library: the assets not known to be removed.
type Mirror interface {
	// Count counts the assets of w.
	Count(ctx context.Context, w Window) (int, error)
	// Nth is the created_at of the asset of w that n others precede by created_at.
	// It fails when there are not so many.
	Nth(ctx context.Context, w Window, n int) (time.Time, error)
	// Rows lists the assets of w in no order.
	Rows(ctx context.Context, w Window) ([]Row, error)
	// Apply writes the rows of the page last asked for and tells how many of
	// them it did not have, or had as removed.
	Apply(ctx context.Context, page cmp.AssetPage) (added int, err error)
}

// Auditor audits; its members do not change while it does.
type Auditor struct {
	Library  Library
	Mirror   Mirror
	Bounds   Bounds       // as an earlier report says; the zero value is found out with a request or two
	Progress func(Report) // after each request; may be nil
}

// Report is what an audit found, so far or at its end.
type Report struct {
	Requests int
	Windows  int      // that were counted by a request of their own
	Rows     int      // shown by pages and compared with the mirror
	Extra    int      // assets that the mirror did not have, and now has
	Suspects []string // assets the mirror has and the library does not list
	Hidden   int      // counted by the library and not listed, asked twice
	Bounds   Bounds
	// Complete says that every asset was counted and what differs is found: what the
	// library held when the audit began is in the mirror or a suspect.
	Complete bool
	Notes    []string // what was noticed about the library, for people
}

// Missing is how many assets the mirror has and the library does not list.
func (r *Report) Missing() int { return len(r.Suspects) }

// note keeps what has not been said yet.
func (r *Report) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// maxRounds is how often the whole is counted, while editors keep changing it.
const maxRounds = 3

// Whole audits the whole library: one request when nothing differs. It ends with
// a count of the whole that agrees, or with Complete false when editors are
// faster than it is. The report is valid with an error, too; of one with
// ErrUncountable nothing may be inferred.
func (a *Auditor) Whole(ctx context.Context) (Report, error) {
	r := a.start()
	err := r.whole(ctx)
	return r.report(), err
}

// Windows audits single windows, and each that counts differently down to what
// differs. It returns the turns that were taken to their end, in the order given, as
// they are afterwards: all of them without an error.
func (a *Auditor) Windows(ctx context.Context, turns []Turn) ([]Turn, Report, error) {
	r := a.start()
	out := append([]Turn(nil), turns...)
	for i := range out {
		if err := r.turn(ctx, &out[i]); err != nil {
			return out[:i], r.report(), err
		}
	}
	r.found.Complete = !r.unsettled
	return out, r.report(), nil
}

func (a *Auditor) start() *run {
	return &run{
		Auditor: a, found: Report{Bounds: a.Bounds}, suspects: map[string]bool{}, hidden: map[Window]int{},
		levels: map[int]*level{},
	}
}

// run is one audit.
type run struct {
	*Auditor
	found     Report
	suspects  map[string]bool
	hidden    map[Window]int // counted by the library and not listed, by exact window
	explained prefixSums     // suspects and hidden assets: what the counts need not differ by any more
	levels    map[int]*level // by size of the windows
	unsettled bool           // a part did not hold still while it was read
	checks    int            // of what does not add up
	limit     int            // requests after which no window is counted any more that has to be read in parts as well
}

func (r *run) report() Report {
	for _, n := range r.hidden {
		r.found.Hidden += n
	}
	return r.found
}

func (r *run) suspect(row Row) {
	if r.suspects[row.ID] {
		return
	}
	r.suspects[row.ID] = true
	r.found.Suspects = append(r.found.Suspects, row.ID)
	r.explained.add(row.CreatedAt, 1)
}

func (r *run) hide(w Window, n int) {
	at := w.From
	if at.IsZero() {
		at = w.To
	}
	r.explained.add(at, r.hidden[w]-n)
	r.hidden[w] = n
}

// residual is the difference of a window that nothing found so far explains.
func (r *run) residual(w Window, diff int) int { return diff + r.explained.in(w) }

func (r *run) whole(ctx context.Context) error {
	for round := 1; ; round++ {
		r.unsettled = false
		even, err := r.round(ctx, round)
		switch {
		case err != nil:
			return err
		case even && !r.unsettled:
			r.found.Complete = true
			return nil
		case round >= maxRounds:
			r.found.note("the counts do not come to rest; the next audit finds what differs now")
			return nil
		}
	}
}

// round counts the whole and, unless it is the last round, finds what differs.
func (r *run) round(ctx context.Context, round int) (even bool, err error) {
	var all Window
	whole, err := r.probe(ctx, all)
	switch {
	case err != nil:
		return false, err
	case whole.total == 0 && whole.mirror > 0:
		return false, fmt.Errorf("%w: it lists nothing, and the mirror has %d assets", ErrUncountable, whole.mirror)
	case r.residual(all, whole.diff) == 0:
		return true, nil
	case round >= maxRounds:
		return false, nil
	}
	r.limit = max(whole.mirror*12/10/pageSize, pageSize/5)
	return false, r.settle(ctx, all, whole)
}
