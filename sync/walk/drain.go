package walk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"damsync/cmp"
)

// drainPasses is how often one second is read before its own changes make the
// walk give up for now.
const drainPasses = 3

// drain reads every row of one second that holds more than a page, by offset. A
// pass is accepted when nothing moved meanwhile: first total = last total =
// unique ids. Else the second is read again; of the last pass it is enough that
// rows only left it, see second, or that it is the pass before once more: then
// the count takes in what the list does not show.
func (w Walker) drain(ctx context.Context, c Cursor, at time.Time, s Span) (Span, Cursor, error) {
	bounds := c
	var before secondRead
	for pass := 1; ; pass++ {
		got, err := w.second(ctx, bounds, at, &s)
		if err != nil {
			return s, c, err
		}
		last := pass >= drainPasses
		switch {
		case len(got.items) > 0 && (got.exact() || last && (got.onlyShrank() || got.repeats(before))):
			c.Exclusive = bounds.Exclusive
			s, c = drained(s, c, at, got)
			return s, c, nil
		case len(got.items) == 0 && last && got.exact():
			s, c = drained(s, c, at, got) // with either kind of bounds: all have moved or gone
			return s, c, nil
		case len(got.items) == 0 && pass == drainPasses-1:
			bounds.Exclusive = true // these bounds do not show what the page has shown
		case last:
			return s, c, fmt.Errorf("%w: the second %s did not hold still", ErrUnstable, at.UTC().Format(time.RFC3339))
		}
		before = got
	}
}

// drained is the span with the rows of the second, and the cursor below it.
func drained(s Span, c Cursor, at time.Time, got secondRead) (Span, Cursor) {
	// Rows above that second were on the page too.
	above := slices.DeleteFunc(slices.Clone(s.Items), func(it cmp.Item) bool { return it.ModifiedAt.Equal(at) })
	s.Items = append(above, got.items...)
	s.Seen = append(s.Seen, idsOf(got.items)...)
	s.Bad = append(s.Bad, got.bad...)
	s.Complete = len(s.Bad) == 0
	s.Above, s.Inclusive = at, true
	c.AtTo = nil
	c.To = at.Add(-c.tick())
	return s, c
}

// secondRead is one pass over a second.
type secondRead struct {
	items       []cmp.Item
	bad         []cmp.RowError
	unique      map[string]bool
	first, last int  // totals; -1 unknown
	grew        bool // between two requests
	uncounted   bool // the totals are not to be believed
}

func (r *secondRead) exact() bool {
	return r.first == r.last && (r.last < 0 || r.last == len(r.unique))
}

// onlyShrank tells that rows have left the second while it was read, and that
// all that remain were seen.
func (r *secondRead) onlyShrank() bool {
	return !r.grew && r.last >= 0 && r.last <= len(r.unique) && len(r.unique) <= r.first
}

// repeats tells that both passes, undisturbed, counted and showed the same.
func (r *secondRead) repeats(before secondRead) bool {
	return r.first == r.last && before.first == before.last && r.first == before.first && maps.Equal(r.unique, before.unique)
}

func (r *secondRead) add(page cmp.AssetPage, at time.Time, offset int) {
	if r.uncounted {
		page.Total = -1
	}
	if r.last >= 0 && page.Total > r.last {
		r.grew = true
	}
	r.last = page.Total
	for _, it := range page.Items {
		if !r.unique[it.ID] && it.ModifiedAt.Equal(at) {
			r.items = append(r.items, it)
		}
		r.unique[it.ID] = true
	}
	for _, row := range page.Bad {
		key := row.ID
		if key == "" {
			key = "row " + strconv.Itoa(offset+row.Index)
		}
		if !r.unique[key] {
			r.bad = append(r.bad, row)
		}
		r.unique[key] = true
	}
}

// second reads one second by offset, from its end to its start: a row that
// leaves shifts those behind it towards offsets that are still to be read, so
// that none of them is passed over.
func (w Walker) second(ctx context.Context, c Cursor, at time.Time, s *Span) (secondRead, error) {
	r := secondRead{unique: map[string]bool{}, first: -1, last: -1}
	top, err := w.offset(ctx, c, at, 0, s)
	if err != nil {
		return r, err
	}
	r.add(top, at, 0)
	r.first = top.Total
	size := len(top.Items) + len(top.Bad)
	if !top.More || size == 0 {
		return r, nil
	}
	if top.Total < 0 {
		return r, w.secondForward(ctx, c, at, &r, size, s)
	}
	for offset := (top.Total - 1) / size * size; offset >= 0; offset -= size {
		page, err := w.offset(ctx, c, at, offset, s)
		if err != nil {
			return r, err
		}
		if offset+size >= top.Total && page.Total == top.Total && (page.More || len(page.Items)+len(page.Bad) == 0) {
			// The count has an upper limit, or is of something else.
			r.uncounted, r.first, r.last = true, -1, -1
			return r, w.secondForward(ctx, c, at, &r, size, s)
		}
		r.add(page, at, offset)
	}
	return r, nil
}

// secondForward is for an API that gives no total.
func (w Walker) secondForward(ctx context.Context, c Cursor, at time.Time, r *secondRead, offset int, s *Span) error {
	for more := true; more; {
		page, err := w.offset(ctx, c, at, offset, s)
		if err != nil {
			return err
		}
		r.add(page, at, offset)
		n := len(page.Items) + len(page.Bad)
		offset += n
		more = page.More && n > 0
	}
	return nil
}

func (w Walker) offset(ctx context.Context, c Cursor, at time.Time, offset int, s *Span) (cmp.AssetPage, error) {
	q := cmp.AssetQuery{PageSize: PageSize, ModifiedFrom: at, ModifiedTo: at, Offset: offset}
	if c.Exclusive {
		q.ModifiedFrom, q.ModifiedTo = at.Add(-c.tick()), at.Add(c.tick())
	}
	s.Requests++
	return w.Library.Assets(ctx, q)
}
