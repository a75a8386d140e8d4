package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
)

// look is what a request for a window has shown.
type look struct {
	total  int // what the library counts; of an exact window, what it lists
	mirror int // what the mirror counts, after the page was written
	// diff is total less mirror. before is the same as it was before what the page showed
	// was written, which is what a window around this one was counted with.
	diff, before int
	exact        bool // the page showed the whole window: what it lacks is a suspect
	page         cmp.AssetPage
}

// compareLimit is how many assets of the mirror a window may have that is only partly shown, for
// the page to be compared with them.
const compareLimit = 64 * pageSize

// probe asks for a window, writes what the page shows, counts the mirror's side, and
// compares what the page shows with it where that is cheap.
func (r *run) probe(ctx context.Context, w Window) (look, error) {
	l, err := r.count(ctx, w, 0)
	if err == nil && l.mirror > 0 && (l.exact || l.mirror <= compareLimit && r.residual(w, l.diff) != 0) {
		err = r.compare(ctx, w, l, 0)
	}
	return l, err
}

// count asks for a window, writes what the page at offset shows, and counts the mirror's side.
func (r *run) count(ctx context.Context, w Window, offset int) (look, error) {
	q, err := r.query(ctx, w)
	if err != nil {
		return look{}, err
	}
	q.Offset = offset
	page, err := r.ask(ctx, w, q)
	if err != nil {
		return look{}, err
	}
	r.found.Windows++
	l := look{total: page.Total, page: page}
	if offset == 0 {
		if err := r.confirmShort(ctx, w, q, &l); err != nil {
			return l, err
		}
	}
	return l, r.countMirror(ctx, w, &l)
}

// countMirror counts the mirror's side of a window, after what the page shows is written.
func (r *run) countMirror(ctx context.Context, w Window, l *look) error {
	added, err := r.apply(ctx, l.page)
	if err != nil {
		return err
	}
	if l.mirror, err = r.Mirror.Count(ctx, w); err != nil {
		return err
	}
	l.diff = l.total - l.mirror
	l.before = l.diff + added
	return nil
}

// ask sends one request and refuses what cannot be an answer to it.
func (r *run) ask(ctx context.Context, w Window, q cmp.AssetQuery) (cmp.AssetPage, error) {
	page, err := r.Library.Assets(ctx, q)
	r.found.Requests++
	if err != nil {
		return page, err
	}
	rows := len(page.Items) + len(page.Bad)
	r.found.Rows += rows
	if slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.CreatedAt.Nanosecond() != 0 }) {
		r.found.Bounds.Fraction = true
	}
	if r.Progress != nil {
		r.Progress(r.found)
	}
	stray := slices.IndexFunc(page.Items, func(it cmp.Item) bool { return !w.Has(it.CreatedAt) })
	switch {
	case page.Total < 0:
		return page, fmt.Errorf("%w: the answer has no total_count", ErrUncountable)
	case page.Total < rows:
		return page, fmt.Errorf("%w: total_count is %d on a page of %d assets", ErrUncountable, page.Total, rows)
	case rows > pageSize:
		return page, fmt.Errorf("%w: a page of %d assets where %d were asked for", ErrUncountable, rows, pageSize)
	case stray >= 0:
		return page, fmt.Errorf("%w: asset %s, created %s, is listed in the window %s: the filter by created_at is not obeyed",
			ErrUncountable, page.Items[stray].ID, page.Items[stray].CreatedAt.UTC().Format(time.RFC3339), w)
	}
	return page, nil
}

// confirmShort decides whether the page shows the whole window. One that is short of its own
// count is asked for again: half an answer is not given twice alike, and a count
// that takes in what is not listed is.
func (r *run) confirmShort(ctx context.Context, w Window, q cmp.AssetQuery, l *look) error {
	rows := len(l.page.Items) + len(l.page.Bad)
	if l.page.More || rows == pageSize && l.total > rows {
		return nil
	}
	if rows > 0 && l.total == rows {
		l.exact = true
		r.hide(w, 0)
		return nil
	}
	again, err := r.ask(ctx, w, q)
	if err != nil {
		return err
	}
	same := again.Total == l.total && slices.Equal(idsOf(again.Items), idsOf(l.page.Items))
	if l.page = again; !same {
		l.total = again.Total
		l.exact = again.Total == len(again.Items)+len(again.Bad) && !again.More
		return nil
	}
	l.exact = true
	l.total = rows
	r.hide(w, again.Total-rows)
	return nil
}

// compare names the assets that the page should have shown. A page is sorted by
// modified_at: between its first and its last row it is complete, and above its first when it
// is the first page.
func (r *run) compare(ctx context.Context, w Window, l look, offset int) error {
	if slices.ContainsFunc(l.page.Bad, unnamed) || !l.exact && len(l.page.Items) == 0 {
		return nil
	}
	rows, err := r.Mirror.Rows(ctx, w)
	if err != nil {
		return err
	}
	if !l.exact {
		if !slices.IsSortedFunc(l.page.Items, func(a, b cmp.Item) int { return b.ModifiedAt.Compare(a.ModifiedAt) }) {
			return nil
		}
		rows = slices.DeleteFunc(rows, func(row Row) bool { return !between(row.ModifiedAt, l.page.Items, offset) })
	}
	r.missing(rows, l.page.Items, l.page.Bad)
	return nil
}

// between tells whether a row modified at t belongs on a page that is sorted.
func between(t time.Time, items []cmp.Item, offset int) bool {
	return t.After(items[len(items)-1].ModifiedAt) && (offset == 0 || t.Before(items[0].ModifiedAt))
}

func unnamed(row cmp.RowError) bool { return row.ID == "" }

func idsOf(items []cmp.Item) []string {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.ID
	}
	return ids
}

// query is the query for a window; the first that has a bound finds out what the library means by it.
func (r *run) query(ctx context.Context, w Window) (cmp.AssetQuery, error) {
	if w != (Window{}) && !r.found.Bounds.Known {
		if err := r.calibrate(ctx); err != nil {
			return cmp.AssetQuery{}, err
		}
	}
	return r.found.Bounds.query(w), nil
}

// calibrate asks for the second of an asset that was listed a moment ago: with the bounds at that
// second, then around it. An editor may remove the asset meanwhile: then the wider bounds show
// neighbors to a library that includes its bounds, which proves nothing.
func (r *run) calibrate(ctx context.Context) error {
	newest, err := r.ask(ctx, Window{}, cmp.AssetQuery{PageSize: pageSize})
	if err != nil {
		return err
	}
	for _, it := range newest.Items[:min(2, len(newest.Items))] {
		at := it.CreatedAt.Truncate(time.Second)
		w := Window{From: at, To: at}
		for _, exclusive := range []bool{false, true} {
			bounds := Bounds{Known: true, Exclusive: exclusive, Fraction: r.found.Bounds.Fraction}
			asked := w
			if exclusive {
				asked = Window{From: at.Add(-time.Second), To: at.Add(time.Second)}
			}
			page, err := r.ask(ctx, asked, bounds.query(w))
			if err != nil {
				return err
			}
			if len(page.Items) > 0 && !slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return !w.Has(it.CreatedAt) }) {
				r.found.Bounds = bounds
				return nil
			}
		}
	}
	return fmt.Errorf("%w: an asset is not listed in the second of its own created_at", ErrUncountable)
}
