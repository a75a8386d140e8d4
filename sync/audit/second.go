package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"damsync/cmp"
)

// part is a window, further narrowed by what the library can filter.
type part struct {
	Window
	query cmp.AssetQuery
	rows  []Row // of the mirror
}

// second finds what differs in one second that holds more than a page, as bulk
// imports do: by type, then by folder, and where these do not divide it, by offset.
func (r *run) second(ctx context.Context, w Window, l look) error {
	rows, err := r.Mirror.Rows(ctx, w)
	if err != nil {
		return err
	}
	q, err := r.query(ctx, w)
	if err != nil {
		return err
	}
	return r.divide(ctx, part{Window: w, query: q, rows: rows}, l.total, []divider{byType, byFolder})
}

// divider cuts a part by one property of the mirror's rows.
type divider func(part) []part

func byType(p part) []part {
	return group(p, func(row Row) string { return row.Type }, func(q *cmp.AssetQuery, value string) { q.Types = []string{value} })
}

func byFolder(p part) []part {
	return group(p, func(row Row) string { return row.FolderID }, func(q *cmp.AssetQuery, value string) {
		q.FolderID, q.IncludeSubfolders = value, new(bool)
	})
}

func group(p part, key func(Row) string, narrow func(*cmp.AssetQuery, string)) []part {
	var parts []part
	index := map[string]int{}
	for _, row := range p.rows {
		i, known := index[key(row)]
		if !known {
			i = len(parts)
			index[key(row)] = i
			parts = append(parts, part{Window: p.Window, query: p.query})
			narrow(&parts[i].query, key(row))
		}
		parts[i].rows = append(parts[i].rows, row)
	}
	return parts
}

// divide asks for the parts that the mirror knows of. When they do not add up to the total, the
// library has some that the mirror does not know of, or does not filter: then the whole is read.
func (r *run) divide(ctx context.Context, p part, total int, by []divider) error {
	if len(by) == 0 || r.found.Cap > 0 && total >= r.found.Cap {
		return r.drain(ctx, p)
	}
	parts := by[0](p)
	if len(parts) < 2 {
		return r.divide(ctx, p, total, by[1:])
	}
	if len(parts) > total/pageSize {
		return r.drain(ctx, p) // as cheap
	}
	sum := 0
	looks := make([]look, len(parts))
	for i, part := range parts {
		l, err := r.askPart(ctx, part)
		if err != nil {
			return err
		}
		looks[i] = l
		sum += l.total
	}
	if sum != total {
		return r.drain(ctx, p)
	}
	for i, part := range parts {
		switch l := looks[i]; {
		case l.total == len(l.page.Items): // with the count that was true of the whole just now
			r.missing(part.rows, l.page.Items, nil)
		case l.total != len(part.rows):
			if err := r.divide(ctx, part, l.total, by[1:]); err != nil { //nolint:gosec // by is not empty, see above
				return err
			}
		}
	}
	return nil
}

func (r *run) askPart(ctx context.Context, p part) (look, error) {
	page, err := r.ask(ctx, p.Window, p.query)
	if err != nil {
		return look{}, err
	}
	r.found.Windows++
	_, err = r.apply(ctx, page)
	return look{total: page.Total, page: page}, err
}

// apply writes a page and counts what the mirror did not have.
func (r *run) apply(ctx context.Context, page cmp.AssetPage) (added int, err error) {
	added, err = r.Mirror.Apply(ctx, page)
	r.found.Surplus += added
	return added, err
}

// missing names the rows of the mirror that are not among those listed.
func (r *run) missing(rows []Row, items []cmp.Item, bad []cmp.RowError) {
	if slices.ContainsFunc(bad, unnamed) {
		return
	}
	listed := make(map[string]bool, len(items))
	for _, it := range items {
		listed[it.ID] = true
	}
	for _, row := range bad {
		listed[row.ID] = true
	}
	for _, row := range rows {
		if !listed[row.ID] {
			r.suspect(row)
		}
	}
}

// drainPasses is how often a part is read until it holds still.
const drainPasses = 3

// drain reads a part by offset, from its end to its start: a row that leaves shifts those behind
// it towards offsets still to be read. A pass is accepted when the first total, the last, and the
// number of different assets are the same; where the total has an upper limit, when two passes
// have shown the same.
func (r *run) drain(ctx context.Context, p part) error {
	var before reading
	for range drainPasses {
		got, err := r.pass(ctx, p)
		if err != nil {
			return err
		}
		if got.still(before) {
			r.missing(p.rows, got.items, got.bad)
			return nil
		}
		before = got
	}
	r.unsettled = true
	r.found.note("the assets created in the second %s did not hold still while they were read", p.Window)
	return nil
}

// reading is one pass over a part.
type reading struct {
	items       []cmp.Item
	bad         []cmp.RowError
	unique      map[string]bool
	first, last int  // totals
	capped      bool // they have an upper limit
}

func (g *reading) still(before reading) bool {
	if g.capped {
		return maps.Equal(g.unique, before.unique)
	}
	return g.first == g.last && g.last == len(g.unique)
}

func (g *reading) add(page cmp.AssetPage, offset int) {
	for _, it := range page.Items {
		if !g.unique[it.ID] {
			g.items = append(g.items, it)
		}
		g.unique[it.ID] = true
	}
	for _, row := range page.Bad {
		g.unique[row.ID+" "+strconv.Itoa(offset+row.Index)] = true
	}
	g.bad = append(g.bad, page.Bad...)
	g.last = page.Total
}

func (r *run) pass(ctx context.Context, p part) (reading, error) {
	g := reading{unique: map[string]bool{}}
	top, err := r.page(ctx, p, 0, &g)
	if err != nil {
		return g, err
	}
	g.first = top.Total
	if g.capped = r.found.Cap > 0 && g.first >= r.found.Cap; g.capped {
		for offset, more := pageSize, top.More; more; offset += pageSize {
			page, err := r.page(ctx, p, offset, &g)
			if err != nil {
				return g, err
			}
			more = page.More && len(page.Items)+len(page.Bad) > 0
		}
		return g, nil
	}
	for offset := (g.first - 1) / pageSize * pageSize; offset > 0; offset -= pageSize {
		if _, err := r.page(ctx, p, offset, &g); err != nil {
			return g, err
		}
	}
	if g.first > pageSize { // the first page again: what moved there meanwhile
		_, err = r.page(ctx, p, 0, &g)
	}
	return g, err
}

// page reads one page of a part and writes what it shows.
func (r *run) page(ctx context.Context, p part, offset int, g *reading) (cmp.AssetPage, error) {
	q := p.query
	q.Offset = offset
	page, err := r.ask(ctx, p.Window, q)
	if err != nil {
		return page, err
	}
	if err := r.past(page, offset); err != nil {
		return page, err
	}
	g.add(page, offset)
	_, err = r.apply(ctx, page)
	return page, err
}

// past notices a page that shows more than its own total counts: that is no total.
func (r *run) past(page cmp.AssetPage, offset int) error {
	end := offset + len(page.Items) + len(page.Bad)
	switch {
	case end == offset, end < page.Total, end == page.Total && !page.More, r.found.Cap > 0 && page.Total >= r.found.Cap:
		return nil
	case r.found.Cap > 0 || page.Total <= 2*pageSize:
		return fmt.Errorf("%w: total_count is %d of a list that goes on after as many assets", ErrUncountable, page.Total)
	}
	return r.capAt(page.Total)
}
