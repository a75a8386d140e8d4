// Package walk reads a library by key. An offset into a list that editors change loses rows; a bound on modified_at does
// not.
package walk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
)

// PageSize is the largest page that the CMP returns.
const PageSize = 100

// ErrUnstable is returned when changes of the library or an inconsistent answer made a step useless. The step may succeed
// when it is repeated.
var ErrUnstable = errors.New("the library changed while it was read")

// Cursor is the position of a walk. The zero value is above the newest row. A stored cursor lets another process continue
// the walk.
type Cursor struct {
	To        time.Time `json:"to"`                  // rows above are read; zero at the start
	AtTo      []string  `json:"at_to,omitempty"`     // ids read at To itself, which the next page repeats
	Exclusive bool      `json:"exclusive,omitempty"` // the API excludes the bound itself
	Fraction  bool      `json:"fraction,omitempty"`  // times with fractions of a second were seen
}

// tick is the least difference between two times of the library.
func (c Cursor) tick() time.Duration {
	if c.Fraction {
		return time.Microsecond
	}
	return time.Second
}

// Span is a range of modified_at that one step read completely: the rows with times in (Above, UpTo], or in
// [Above, UpTo] when Inclusive.
type Span struct {
	Items       []cmp.Item
	Above, UpTo time.Time // zero UpTo: no upper bound; zero Above: down to the oldest
	Inclusive   bool
	Seen        []string // ids read in the span, including those that the previous step read at UpTo
	Complete    bool     // false: a row was unreadable, so absence proves nothing
	Bad         []cmp.RowError
	Total       int // the page's total_count; -1 when unknown
	Requests    int
	End         bool // the oldest row was read
}

// Reader lists the library; *cmp.Client is one.
type Reader interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
}

// Walker reads the library by key, newest first. It sets modified_at__to to the lowest time seen, so rows that appear or
// disappear above do not shift the rows below. It uses offsets only within a second that holds more than a page.
type Walker struct {
	Library Reader
}

// Step continues from c and returns the cursor of the next step. On any error, including ErrUnstable, it returns c, so
// that the step can be repeated.
func (w Walker) Step(ctx context.Context, c Cursor) (Span, Cursor, error) {
	s := Span{UpTo: c.To, Total: -1}
	page, err := w.page(ctx, c, &s)
	if err != nil {
		return s, c, err
	}
	next := c
	if lacksBound(c, page) {
		page, next, err = w.resolveBound(ctx, c, page, &s)
	} else if page.empty() {
		// A single empty answer does not prove the end of the library.
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

// advance adds the rows of page to the span and moves the cursor below them.
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

// pageRead is a page without the rows above the cursor. rows is the number of rows it had with them.
type pageRead struct {
	cmp.AssetPage
	rows int
}

func (p pageRead) empty() bool { return len(p.Items) == 0 && !p.More }

// short reports whether a last page has fewer rows than its count.
func (p pageRead) short() bool { return !p.More && p.Total > p.rows }

// confirmEnd reads a short last page again. A truncated answer does not come twice alike. A count that includes assets
// hidden from the app does, and then the page has all visible rows.
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

// checkPage returns ErrUnstable for a page that is too long, not sorted, or not within its bound.
func checkPage(page cmp.AssetPage, to time.Time) error {
	if n := len(page.Items) + len(page.Bad); n > PageSize {
		return fmt.Errorf("%w: a page of %d rows where %d were requested", ErrUnstable, n, PageSize)
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

// lacksBound reports whether a page lacks the rows at the bound, which the previous step saw: the API's bounds are
// exclusive, the rows were edited or deleted, or the answer is wrong.
func lacksBound(c Cursor, page pageRead) bool {
	return !c.Exclusive && !c.To.IsZero() && len(c.AtTo) > 0 && !hasRowAt(page, c.To)
}

// resolveBound finds out why lacksBound is true and returns the page to continue with. It takes the bounds as exclusive
// only when a bound one second higher shows the rows and the bound itself, requested again, does not.
func (w Walker) resolveBound(ctx context.Context, c Cursor, page pageRead, s *Span) (pageRead, Cursor, error) {
	above := c
	above.Exclusive = true
	higher, err := w.page(ctx, above, s)
	if err != nil {
		return page, c, err
	}
	if !hasRowAt(higher, c.To) && !page.empty() {
		c.AtTo = nil // the rows were edited or deleted
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
