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

// tiePasses bounds how often a tie group is read while its rows change.
const tiePasses = 3

// TieGroup is the rows that share one second, possibly more than a page of them.
type TieGroup struct {
	Items []cmp.Item     // each asset once
	Bad   []cmp.RowError // rows that could not be read
	Total int            // the library's last count; -1 when it gives none

	// Complete reports whether the group has no other rows.
	Complete bool
	// Uncounted reports that the library gave no count, or one lower than the rows it listed.
	Uncounted bool
}

// ReadTies reads a tie group through page, which fetches its rows from an offset on. It reads up to three
// times, until the first total, the last one and the number of different rows agree. Rows that a pass lists twice
// are returned once.
//
// leaving states that an edit takes a row out of the group, as it does where the rows share their modified_at.
// The last pass is then complete, too, when rows only left, or when it repeats the previous pass: the count includes
// rows that the list does not show.
func ReadTies(ctx context.Context, leaving bool, page func(ctx context.Context, offset int) (cmp.AssetPage, error)) (TieGroup, error) {
	var before tiePass
	for pass := 1; ; pass++ {
		got, err := readPass(ctx, leaving, page)
		if err != nil {
			return TieGroup{}, err
		}
		last := pass == tiePasses
		complete := got.exact() || leaving && last && (got.onlyShrank() || got.repeats(&before))
		if complete || last {
			return TieGroup{Items: got.items, Bad: got.bad, Total: got.last, Complete: complete, Uncounted: got.uncounted}, nil
		}
		before = got
	}
}

// tiePass is one pass over a tie group.
type tiePass struct {
	items       []cmp.Item
	bad         []cmp.RowError
	unique      map[string]bool // by id, or by position for rows without an id
	first, last int             // totals; -1 when unknown
	grew        bool            // between two requests
	uncounted   bool            // the totals are missing or too low
}

// exact reports whether the first total, the last one and the number of rows agree.
func (p *tiePass) exact() bool {
	return p.first == p.last && (p.last < 0 || p.last == len(p.unique))
}

// onlyShrank reports whether rows only left the group during the pass and all remaining rows were seen.
func (p *tiePass) onlyShrank() bool {
	return !p.grew && p.last >= 0 && p.last <= len(p.unique) && len(p.unique) <= p.first
}

// repeats reports whether both passes have the same count and the same rows. The count then includes rows that the list
// does not show.
func (p *tiePass) repeats(before *tiePass) bool {
	return p.first == p.last && before.first == before.last && p.first == before.first && maps.Equal(p.unique, before.unique)
}

func (p *tiePass) add(page cmp.AssetPage, offset int) {
	if p.uncounted {
		page.Total = -1
	}
	p.grew = p.grew || p.last >= 0 && page.Total > p.last
	p.last = page.Total
	for _, it := range page.Items {
		if !p.unique[it.ID] {
			p.items = append(p.items, it)
		}
		p.unique[it.ID] = true
	}
	for _, row := range page.Bad {
		key := row.ID
		if key == "" {
			key = "row " + strconv.Itoa(offset+row.Index)
		}
		if !p.unique[key] {
			p.bad = append(p.bad, row)
		}
		p.unique[key] = true
	}
}

// readPass reads the group from its end to its start: a row that leaves shifts the rows behind it towards
// offsets that are still to be read, so none of them is passed over.
func readPass(ctx context.Context, leaving bool, page func(context.Context, int) (cmp.AssetPage, error)) (tiePass, error) {
	p := tiePass{unique: map[string]bool{}, first: -1, last: -1}
	top, err := page(ctx, 0)
	if err != nil {
		return p, err
	}
	p.add(top, 0)
	p.first = top.Total
	size := rowsOf(top)
	switch {
	case top.Total < 0, top.More && top.Total <= size: // no count, or one that the page contradicts
		p.uncounted, p.first, p.last = true, -1, -1
		return p, p.forward(ctx, page, top)
	case !top.More || size == 0:
		return p, nil
	}
	for offset := (top.Total - 1) / size * size; offset > 0; offset -= size {
		got, err := page(ctx, offset)
		if err != nil {
			return p, err
		}
		if offset+size >= top.Total && got.Total == top.Total && (got.More || rowsOf(got) == 0) {
			// The count is capped or wrong.
			p.uncounted, p.first, p.last = true, -1, -1
			return p, p.forward(ctx, page, top)
		}
		p.add(got, offset)
	}
	if leaving && p.exact() {
		return p, nil // nothing left since the first page was read, and nothing can have come
	}
	again, err := page(ctx, 0)
	if err == nil {
		p.add(again, 0)
	}
	return p, err
}

// forward reads the rows behind top page by page, for a library whose count is useless.
func (p *tiePass) forward(ctx context.Context, page func(context.Context, int) (cmp.AssetPage, error), top cmp.AssetPage) error {
	for offset, more := rowsOf(top), top.More && rowsOf(top) > 0; more; {
		got, err := page(ctx, offset)
		if err != nil {
			return err
		}
		p.add(got, offset)
		n := rowsOf(got)
		offset += n
		more = got.More && n > 0
	}
	return nil
}

func rowsOf(page cmp.AssetPage) int { return len(page.Items) + len(page.Bad) }

// readTies adds the rows of the second at to the span and returns the cursor below it.
func (w Walker) readTies(ctx context.Context, c Cursor, at time.Time, s Span) (Span, Cursor, error) {
	got, err := w.tiesAt(ctx, c, at, &s)
	if err == nil && len(got.Items) == 0 && !c.Exclusive {
		got, c, err = w.tiesOutside(ctx, c, at, &s)
	}
	switch {
	case err != nil:
		return s, c, err
	case !got.Complete:
		return s, c, fmt.Errorf("%w: the rows of %s kept changing", ErrUnstable, at.UTC().Format(time.RFC3339))
	}
	s, c = withTies(s, c, at, got)
	return s, c, nil
}

// tiesOutside reads a second that showed no rows again, with bounds around it. It takes the library's bounds as exclusive
// only when the wider bounds show rows and the bounds at the second, requested again, do not. When neither shows any, the
// rows were edited or deleted.
func (w Walker) tiesOutside(ctx context.Context, c Cursor, at time.Time, s *Span) (TieGroup, Cursor, error) {
	exclusive := c
	exclusive.Exclusive = true
	around, err := w.tiesAt(ctx, exclusive, at, s)
	if err != nil || len(around.Items) == 0 {
		return around, c, err
	}
	again, err := w.tiesAt(ctx, c, at, s)
	if err != nil || len(again.Items) > 0 {
		return again, c, err
	}
	return around, exclusive, nil
}

func (w Walker) tiesAt(ctx context.Context, c Cursor, at time.Time, s *Span) (TieGroup, error) {
	q := cmp.AssetQuery{PageSize: PageSize, ModifiedFrom: at, ModifiedTo: at}
	if c.Exclusive {
		q.ModifiedFrom, q.ModifiedTo = at.Add(-c.tick()), at.Add(c.tick())
	}
	got, err := ReadTies(ctx, true, func(ctx context.Context, offset int) (cmp.AssetPage, error) {
		q.Offset = offset
		s.Requests++
		return w.Library.Assets(ctx, q)
	})
	// Wider bounds show neighbors too.
	got.Items = slices.DeleteFunc(got.Items, func(it cmp.Item) bool { return !it.ModifiedAt.Equal(at) })
	return got, err
}

// withTies returns the span with the rows of the tie group at the given second, and the cursor below it.
func withTies(s Span, c Cursor, at time.Time, got TieGroup) (Span, Cursor) {
	// The page also showed rows above that second.
	above := slices.DeleteFunc(slices.Clone(s.Items), func(it cmp.Item) bool { return it.ModifiedAt.Equal(at) })
	s.Items = append(above, got.Items...)
	s.Seen = append(s.Seen, idsOf(got.Items)...)
	s.Bad = append(s.Bad, got.Bad...)
	s.Complete = len(s.Bad) == 0
	s.Above, s.Inclusive = at, true
	c.AtTo = nil
	c.To = at.Add(-c.tick())
	return s, c
}
