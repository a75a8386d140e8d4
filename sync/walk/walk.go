// Package walk reads a library by key: an offset into a list that editors change loses rows,
// a bound on modified_at does not.
package walk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
)

// PageSize is the most rows the CMP gives a request.
const PageSize = 100

// ErrUnstable is the class of a reading that the library's own changes, or an
// answer that does not add up, made useless. Reading again may succeed.
var ErrUnstable = errors.New("the library changed while it was read")

// Cursor is where a walk stands, the zero value before the newest row; it is stored, so that another process can
// go on.
type Cursor struct {
	To        time.Time `json:"to"`                  // rows above are read; zero at the start
	AtTo      []string  `json:"at_to,omitempty"`     // ids read at To itself, which the next page repeats
	Exclusive bool      `json:"exclusive,omitempty"` // the API's bounds leave out the bound itself
	Fraction  bool      `json:"fraction,omitempty"`  // times with fractions of a second were seen
}

// tick is the least difference between two times of the library.
func (c Cursor) tick() time.Duration {
	if c.Fraction {
		return time.Microsecond
	}
	return time.Second
}

// Span is a stretch of the library by modified_at that one step read in full:
// rows with times in (Above, UpTo], or [Above, UpTo] when Inclusive.
type Span struct {
	Items       []cmp.Item
	Above, UpTo time.Time // zero UpTo: no upper bound; zero Above: down to the oldest
	Inclusive   bool
	Seen        []string // ids read in the span, those of the step before included
	Complete    bool     // false: a row was unreadable, so absence says nothing
	Bad         []cmp.RowError
	Total       int // what the page said the query matches; -1 unknown
	Requests    int
	End         bool
}

// Reader lists the library; *cmp.Client is one.
type Reader interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
}

// Walker reads the library by key, newest first: modified_at__to is the lowest
// time seen, so rows that come or go above do not shift what is below. Offsets
// are used only inside one second that holds more than a page.
type Walker struct {
	Library Reader
}

// Step reads on from c and returns the cursor of the next step. On an error, ErrUnstable among
// them, that is c: the step can be repeated.
func (w Walker) Step(ctx context.Context, c Cursor) (Span, Cursor, error) {
	s := Span{UpTo: c.To, Total: -1}
	page, err := w.page(ctx, c, &s)
	if err != nil {
		return s, c, err
	}
	next := c
	if lacksBound(c, page) {
		page, next, err = w.settleBound(ctx, c, page, &s)
	} else if page.empty() {
		// One answer that breaks off the walk is not enough to believe its end.
		page, err = w.page(ctx, c, &s)
	}
	if err == nil && page.short() {
		page, err = w.confirmEnd(ctx, next, page, &s)
	}
	if err != nil {
		return s, c, err
	}
	s.Seen = slices.Clone(c.AtTo)
	if s, next, err = w.advance(ctx, next, page, s); err != nil {
		return s, c, err
	}
	return s, next, nil
}

// advance takes what page shows and moves the cursor below it.
func (w Walker) advance(ctx context.Context, c Cursor, page pageRead, s Span) (Span, Cursor, error) {
	s.Items, s.Bad, s.Total = page.Items, page.Bad, page.Total
	s.Complete = len(page.Bad) == 0
	s.Seen = append(s.Seen, idsOf(page.Items)...)
	c.Fraction = c.Fraction || slices.ContainsFunc(page.Items, hasFraction)
	if !page.More {
		s.End, s.Inclusive = true, true
		return s, c, nil
	}
	if len(page.Items) == 0 {
		return s, c, fmt.Errorf("%w: a page without a readable row that is not the last", ErrUnstable)
	}
	low := page.Items[len(page.Items)-1].ModifiedAt
	if low.Equal(c.To) || len(page.Items) > 1 && low.Equal(page.Items[0].ModifiedAt) {
		return w.readTies(ctx, c, low, s)
	}
	s.Above = low
	c.To, c.AtTo = low, idsAt(page.Items, low)
	return s, c, nil
}

// pageRead is a page with how many rows it had before those above the cursor
// were left out.
type pageRead struct {
	cmp.AssetPage
	rows int
}

func (p pageRead) empty() bool { return len(p.Items) == 0 && !p.More }

// short is true of a last page that has fewer rows than it counts.
func (p pageRead) short() bool { return !p.More && p.Total > p.rows }

// confirmEnd reads a short last page again. Half an answer is not given twice
// alike; a count that takes in what the app may not see is, and then the rows
// are all there are.
func (w Walker) confirmEnd(ctx context.Context, c Cursor, page pageRead, s *Span) (pageRead, error) {
	again, err := w.page(ctx, c, s)
	if err != nil {
		return page, err
	}
	if again.short() && (again.Total != page.Total || !slices.Equal(idsOf(again.Items), idsOf(page.Items))) {
		return page, fmt.Errorf("%w: the last page has %d rows of %d", ErrUnstable, again.rows, again.Total)
	}
	return again, nil
}

// page reads the rows up to the cursor.
func (w Walker) page(ctx context.Context, c Cursor, s *Span) (pageRead, error) {
	q := cmp.AssetQuery{PageSize: PageSize, ModifiedTo: c.To}
	if c.Exclusive && !c.To.IsZero() {
		q.ModifiedTo = c.To.Add(c.tick())
	}
	s.Requests++
	answer, err := w.Library.Assets(ctx, q)
	if err != nil {
		return pageRead{}, err
	}
	page := pageRead{AssetPage: answer, rows: len(answer.Items) + len(answer.Bad)}
	if c.Exclusive {
		page.Items = slices.DeleteFunc(page.Items, func(it cmp.Item) bool { return !c.To.IsZero() && it.ModifiedAt.After(c.To) })
	}
	return page, checkPage(page.AssetPage, c.To)
}

// checkPage refuses what a sorted, bounded page cannot be.
func checkPage(page cmp.AssetPage, to time.Time) error {
	if n := len(page.Items) + len(page.Bad); n > PageSize {
		return fmt.Errorf("%w: a page of %d rows where %d were asked for", ErrUnstable, n, PageSize)
	}
	last := to
	for _, it := range page.Items {
		if !last.IsZero() && it.ModifiedAt.After(last) {
			return fmt.Errorf("%w: rows are not sorted by modified_at, or its bound is ignored", ErrUnstable)
		}
		last = it.ModifiedAt
	}
	return nil
}

// lacksBound is true when the rows at the bound, seen a moment ago, are missing
// from a page that should repeat them: the API's bounds are exclusive, or these
// rows have moved or gone, or the answer is not true.
func lacksBound(c Cursor, page pageRead) bool {
	return !c.Exclusive && !c.To.IsZero() && len(c.AtTo) > 0 && !hasRowAt(page, c.To)
}

// settleBound finds out why and returns the page to go on with. The bounds are taken as
// exclusive only when a second higher shows the rows and the bound itself again
// does not.
func (w Walker) settleBound(ctx context.Context, c Cursor, page pageRead, s *Span) (pageRead, Cursor, error) {
	above := c
	above.Exclusive = true
	higher, err := w.page(ctx, above, s)
	if err != nil {
		return page, c, err
	}
	if !hasRowAt(higher, c.To) && !page.empty() {
		c.AtTo = nil // they have moved or gone
		return page, c, nil
	}
	again, err := w.page(ctx, c, s)
	switch {
	case err != nil:
		return page, c, err
	case hasRowAt(higher, c.To) && !hasRowAt(again, c.To):
		return higher, above, nil
	default:
		return again, c, nil
	}
}

func hasRowAt(page pageRead, at time.Time) bool {
	return slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.ModifiedAt.Equal(at) })
}

func hasFraction(it cmp.Item) bool { return it.ModifiedAt.Nanosecond() != 0 }

func idsOf(items []cmp.Item) []string {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.ID
	}
	return ids
}

func idsAt(items []cmp.Item, at time.Time) []string {
	var ids []string
	for _, it := range items {
		if it.ModifiedAt.Equal(at) {
			ids = append(ids, it.ID)
		}
	}
	return ids
}
