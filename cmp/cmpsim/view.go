package cmpsim

import (
	"slices"
	"sort"
	"sync"
)

// view answers one filtered list: a total and a page of rows, newest modified
// first.
type view struct {
	total int
	rows  func(from, to int) []*asset
}

// topLimit is how deep a page of a created_at window may reach before the whole
// window is sorted and kept.
const topLimit = 1024

// look answers f for the rows up to `to`. Filters of modified_at alone cost a
// binary search; created_at alone a count by binary search and one pass over the
// window; anything else one pass over the narrower window, kept until the
// library changes.
func (c *catalog) look(f *filter, key string, to int, cache *viewCache) view {
	mFrom := c.modified.rank(func(a *asset) bool { return a.modified > f.modified.to })
	mTo := c.modified.rank(func(a *asset) bool { return a.modified >= f.modified.from })
	mTo = max(mTo, mFrom)
	if len(f.tests) == 0 && f.created.open() {
		return view{mTo - mFrom, func(from, to int) []*asset {
			return slices.Collect(c.modified.span(mFrom+from, mFrom+to))
		}}
	}
	if rows, ok := cache.get(key, c.revision); ok {
		return sliceView(rows)
	}
	cFrom := c.created.rank(func(a *asset) bool { return a.created > f.created.to })
	cTo := max(c.created.rank(func(a *asset) bool { return a.created >= f.created.from }), cFrom)
	if len(f.tests) == 0 && f.modified.open() && to <= topLimit {
		return view{cTo - cFrom, func(from, to int) []*asset {
			top := c.newestOf(cFrom, cTo, to)
			return top[min(from, len(top)):min(to, len(top))]
		}}
	}
	rows := c.scan(f, mFrom, mTo, cFrom, cTo)
	cache.put(key, c.revision, rows)
	return sliceView(rows)
}

func sliceView(rows []*asset) view {
	return view{len(rows), func(from, to int) []*asset { return rows[from:to] }}
}

// scan passes over the narrower of the two windows.
func (c *catalog) scan(f *filter, mFrom, mTo, cFrom, cTo int) []*asset {
	var rows []*asset
	if mTo-mFrom <= cTo-cFrom {
		for a := range c.modified.span(mFrom, mTo) {
			if f.match(a) {
				rows = append(rows, a)
			}
		}
		return rows
	}
	for a := range c.created.span(cFrom, cTo) {
		if f.match(a) {
			rows = append(rows, a)
		}
	}
	slices.SortFunc(rows, orderFor(newestModified))
	return rows
}

// newestOf returns the n most recently modified of a created_at window, sorted.
func (c *catalog) newestOf(from, to, n int) []*asset {
	if n == 0 {
		return nil
	}
	top := make([]*asset, 0, n+1)
	for a := range c.created.span(from, to) {
		if len(top) == n && !newestModified(a, top[n-1]) {
			continue
		}
		at := sort.Search(len(top), func(i int) bool { return newestModified(a, top[i]) })
		top = slices.Insert(top, at, a)
		top = top[:min(len(top), n)]
	}
	return top
}

// viewCache keeps the last few scanned lists, so that paging through one costs
// one scan.
type viewCache struct {
	mu    sync.Mutex
	views []cachedView // newest last
}

type cachedView struct {
	key      string
	revision uint64
	rows     []*asset
}

const cachedViews = 4

func (v *viewCache) get(key string, revision uint64) ([]*asset, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.views {
		if c.key == key && c.revision == revision {
			return c.rows, true
		}
	}
	return nil, false
}

func (v *viewCache) put(key string, revision uint64, rows []*asset) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.views = slices.DeleteFunc(v.views, func(c cachedView) bool { return c.key == key || c.revision != revision })
	if len(v.views) >= cachedViews {
		v.views = slices.Delete(v.views, 0, 1)
	}
	v.views = append(v.views, cachedView{key, revision, rows})
}
