package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/state"
)

// counted is a window with the counts of both sides.
type counted struct {
	total  int // the library's count; for an exact window, the rows it lists
	mirror int // the mirror's count after the page was written
	// diff is total less mirror. before is the same with the mirror's count before the page was written: windows around
	// this one were counted then.
	diff, before int
	exact        bool // the page showed the whole window, so assets it lacks are suspects
	page         cmp.AssetPage
}

// compareLimit is the largest number of assets that a window of the mirror may have for a page to be compared with it
// when the page shows only a part of the window.
const compareLimit = 64 * pageSize

// probe counts a window and compares the page with the mirror where that is cheap.
func (r *run) probe(ctx context.Context, w Window) (counted, error) {
	l, err := r.count(ctx, w, 0)
	if err == nil && l.mirror > 0 && (l.exact || l.mirror <= compareLimit && r.residual(w, l.diff) != 0) {
		err = r.compare(ctx, w, l, 0)
	}
	return l, err
}

// count requests a window, writes the page at offset, and counts the mirror's side.
func (r *run) count(ctx context.Context, w Window, offset int) (counted, error) {
	q, err := r.query(ctx, w)
	if err != nil {
		return counted{}, err
	}
	q.Offset = offset
	page, err := r.request(ctx, w, q)
	if err != nil {
		return counted{}, err
	}
	r.found.Windows++
	l := counted{total: page.Total, page: page}
	if offset == 0 {
		if err := r.confirmShort(ctx, w, q, &l); err != nil {
			return l, err
		}
	}
	return l, r.countMirror(ctx, w, &l)
}

// countMirror writes the page and then counts the mirror's side of a window.
func (r *run) countMirror(ctx context.Context, w Window, l *counted) error {
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

// request sends one request and checks that the answer is possible.
func (r *run) request(ctx context.Context, w Window, q cmp.AssetQuery) (cmp.AssetPage, error) {
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
		return page, fmt.Errorf("%w: a page of %d assets where %d were requested", ErrUncountable, rows, pageSize)
	case stray >= 0:
		return page, fmt.Errorf("%w: asset %s, created %s, is listed in the window %s: the library ignores the filter by created_at",
			ErrUncountable, page.Items[stray].ID, page.Items[stray].CreatedAt.UTC().Format(time.RFC3339), w)
	}
	return page, nil
}

// confirmShort decides whether the page shows the whole window. A page with fewer rows than its own count is requested
// again: a truncated answer does not come twice alike, but a count that includes hidden assets does.
func (r *run) confirmShort(ctx context.Context, w Window, q cmp.AssetQuery, l *counted) error {
	rows := len(l.page.Items) + len(l.page.Bad)
	if l.page.More || rows == pageSize && l.total > rows {
		return nil
	}
	if rows > 0 && l.total == rows {
		l.exact = true
		r.setHidden(w, 0)
		return nil
	}
	again, err := r.request(ctx, w, q)
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
	r.setHidden(w, again.Total-rows)
	return nil
}

// compare makes suspects of the assets that the page should have shown. A page is sorted by modified_at: it is complete
// between its first and its last row, and also above its first row when it is the first page.
func (r *run) compare(ctx context.Context, w Window, l counted, offset int) error {
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
		rows = slices.DeleteFunc(rows, func(row state.WindowRow) bool { return !between(row.ModifiedAt, l.page.Items, offset) })
	}
	r.missing(rows, l.page.Items, l.page.Bad)
	return nil
}

// between reports whether a row modified at t belongs on a page that is sorted.
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

// query returns the query for a window. The first window with a bound is preceded by calibrate.
func (r *run) query(ctx context.Context, w Window) (cmp.AssetQuery, error) {
	if w != (Window{}) && !r.found.Bounds.Known {
		if err := r.calibrate(ctx); err != nil {
			return cmp.AssetQuery{}, err
		}
	}
	return r.found.Bounds.query(w), nil
}

// calibrate finds out whether the library includes the bounds of created_at. It requests the second of an asset that was
// just listed, first with the bounds at that second, then around it. When an editor removes the asset meanwhile, a library
// that includes its bounds shows neighbors within the wider bounds, which proves nothing.
func (r *run) calibrate(ctx context.Context) error {
	newest, err := r.request(ctx, Window{}, cmp.AssetQuery{PageSize: pageSize})
	if err != nil {
		return err
	}
	for _, it := range newest.Items[:min(2, len(newest.Items))] {
		at := it.CreatedAt.Truncate(time.Second)
		w := Window{From: at, To: at}
		for _, exclusive := range []bool{false, true} {
			bounds := Bounds{Known: true, Exclusive: exclusive, Fraction: r.found.Bounds.Fraction}
			requested := w
			if exclusive {
				requested = Window{From: at.Add(-time.Second), To: at.Add(time.Second)}
			}
			page, err := r.request(ctx, requested, bounds.query(w))
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
