package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
)

// pageSize is the most the CMP gives.
const pageSize = 100

// errUnstable is the class of a reading that the library's own changes, or an
// answer that does not add up, made useless. Reading again may succeed.
var errUnstable = errors.New("the library changed while it was read")

// walkCursor is where a walk stands; it is stored, so that another process can
// go on.
type walkCursor struct {
	To        time.Time `json:"to"`                  // rows above are read; zero at the start
	AtTo      []string  `json:"at_to,omitempty"`     // ids read at To itself, which the next page repeats
	Exclusive bool      `json:"exclusive,omitempty"` // the API's bounds leave out the bound itself
	Fraction  bool      `json:"fraction,omitempty"`  // times with fractions of a second were seen
}

// span is a stretch of the library by modified_at that one step read in full:
// rows with times in (Above, UpTo], or [Above, UpTo] when Inclusive.
type span struct {
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

// walker reads the library by key, newest first: modified_at__to is the lowest time seen, so rows that
// come or go above do not shift what is below. Offsets are used only inside one
// second that holds more than a page.
type walker struct {
	lib Reader
}

// step reads on from c.
func (w walker) step(ctx context.Context, c walkCursor) (span, walkCursor, error) {
	page, err := w.page(ctx, c)
	if err != nil {
		return span{Requests: 1}, c, err
	}
	s := span{Total: page.Total, Requests: 1, Complete: len(page.Bad) == 0, Bad: page.Bad, UpTo: c.To}
	if err := checkPage(page, c.To); err != nil {
		return s, c, err
	}
	items := page.Items
	if w.looksExclusive(c, page) {
		return w.retryInclusive(ctx, c, s)
	}
	c.Fraction = c.Fraction || slices.ContainsFunc(items, hasFraction)
	s.Items = items
	s.Seen = append(slices.Clone(c.AtTo), idsOf(items)...)
	if !page.More {
		s.End, s.Inclusive = true, true
		if !c.Exclusive && page.Total > len(items)+len(page.Bad) {
			return s, c, fmt.Errorf("%w: the last page has %d rows of %d", errUnstable, len(items), page.Total)
		}
		return s, c, nil
	}
	low := items[len(items)-1].ModifiedAt
	if low.Equal(c.To) || len(items) > 1 && low.Equal(items[0].ModifiedAt) {
		return w.drain(ctx, c, low, s)
	}
	s.Above = low
	c.To, c.AtTo = low, idsAt(items, low)
	return s, c, nil
}

func (w walker) page(ctx context.Context, c walkCursor) (cmp.AssetPage, error) {
	q := cmp.AssetQuery{PageSize: pageSize, ModifiedTo: c.To}
	if c.Exclusive && !c.To.IsZero() {
		q.ModifiedTo = c.To.Add(time.Second)
	}
	page, err := w.lib.Assets(ctx, q)
	if err == nil && c.Exclusive {
		page.Items = slices.DeleteFunc(page.Items, func(it cmp.Item) bool { return !c.To.IsZero() && it.ModifiedAt.After(c.To) })
	}
	return page, err
}

// checkPage refuses what a sorted, bounded page cannot be.
func checkPage(page cmp.AssetPage, to time.Time) error {
	if page.More && len(page.Items) == 0 {
		return fmt.Errorf("%w: an empty page that is not the last", errUnstable)
	}
	if len(page.Items) > pageSize {
		return fmt.Errorf("%w: a page of %d rows where %d were asked for", errUnstable, len(page.Items), pageSize)
	}
	last := to
	for _, it := range page.Items {
		if !last.IsZero() && it.ModifiedAt.After(last) {
			return fmt.Errorf("%w: rows are not sorted by modified_at, or its bound is ignored", errUnstable)
		}
		last = it.ModifiedAt
	}
	return nil
}

// looksExclusive is true when the rows at the bound, seen a moment ago, are
// missing from a page that should repeat them.
func (w walker) looksExclusive(c walkCursor, page cmp.AssetPage) bool {
	return !c.Exclusive && !c.To.IsZero() && len(c.AtTo) > 0 && !slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.ModifiedAt.Equal(c.To) })
}

// retryInclusive asks one second higher: if the rows at the bound are there
// now, the API's bound is exclusive; if not, they have moved or gone.
func (w walker) retryInclusive(ctx context.Context, c walkCursor, s span) (span, walkCursor, error) {
	probe := c
	probe.Exclusive = true
	page, err := w.page(ctx, probe)
	if err != nil {
		return span{Requests: 2}, c, err
	}
	found := slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.ModifiedAt.Equal(c.To) })
	next := c
	next.AtTo = nil
	next.Exclusive = found
	out, next, err := w.step(ctx, next)
	out.Requests += 2
	out.Seen = append(out.Seen, c.AtTo...)
	return out, next, err
}

// drain reads every row of one second that holds more than a page, by offset. It is
// accepted only when nothing moved meanwhile: first total = last total =
// unique ids.
func (w walker) drain(ctx context.Context, c walkCursor, at time.Time, s span) (span, walkCursor, error) {
	const attempts = 5
	var items []cmp.Item
	for attempt := range attempts {
		got, bad, requests, stable, err := w.second(ctx, c, at)
		s.Requests += requests
		if err != nil {
			return s, c, err
		}
		items, s.Bad = got, bad
		if stable {
			break
		}
		if attempt == attempts-1 {
			return s, c, fmt.Errorf("%w: the second %s did not hold still", errUnstable, at.UTC().Format(time.RFC3339))
		}
	}
	// Rows above that second were on the page too.
	above := slices.DeleteFunc(slices.Clone(s.Items), func(it cmp.Item) bool { return it.ModifiedAt.Equal(at) })
	s.Items = append(above, items...)
	s.Seen = append(slices.Clone(c.AtTo), idsOf(s.Items)...)
	s.Complete = len(s.Bad) == 0
	s.Above, s.Inclusive, s.Total = at, true, -1
	c.AtTo = nil
	c.To = at.Add(-time.Second)
	if c.Fraction {
		c.To = at.Add(-time.Microsecond)
	}
	return s, c, nil
}

// second reads one second by offset.
func (w walker) second(ctx context.Context, c walkCursor, at time.Time) (items []cmp.Item, bad []cmp.RowError, requests int, stable bool, err error) {
	q := cmp.AssetQuery{PageSize: pageSize, ModifiedFrom: at, ModifiedTo: at}
	if c.Exclusive {
		q.ModifiedFrom, q.ModifiedTo = at.Add(-time.Second), at.Add(time.Second)
	}
	unique := map[string]bool{}
	first, last := -1, -1
	for {
		page, err := w.lib.Assets(ctx, q)
		requests++
		if err != nil {
			return nil, nil, requests, false, err
		}
		bad = append(bad, page.Bad...)
		for _, it := range page.Items {
			if !unique[it.ID] && it.ModifiedAt.Equal(at) {
				unique[it.ID] = true
				items = append(items, it)
			}
		}
		if first < 0 {
			first = page.Total
		}
		last = page.Total
		if !page.More || len(page.Items) == 0 {
			break
		}
		q.Offset += pageSize
	}
	return items, bad, requests, first == last && (last < 0 || last == len(unique)+len(bad)), nil
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
