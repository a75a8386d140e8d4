// Package audittest provides a library and its mirror in memory. They answer in logarithmic time, so
// that tests and benchmarks of audits and walks can use millions of assets on a virtual clock. It is
// test support.
package audittest

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
)

// Library answers GET /assets as the vendor's document describes it: a live list, newest modified_at
// first, paged by offset. It is not safe for concurrent use. Its assets are named by their place: the
// number of assets added before.
type Library struct {
	assets []asset // by place, which is the order of created_at
	alive  *counts // by place
	recent *newest // the index of the last edit of living assets, by place

	edits  []edit  // every modification, oldest first; an asset is listed at its last one
	listed *counts // by index of edits
	now    int64   // seconds since Epoch

	// Behavior that the vendor leaves open, and misbehavior.
	Exclusive bool          // time filters exclude the given second
	Unbounded bool          // created_at filters are ignored
	Total     func(int) int // changes total_count; nil leaves it

	Before   func() // called before each request; may be nil
	Requests int    // number of requests so far
}

type asset struct {
	created int64
	edit    int // index of its last edit
}

type edit struct {
	at    int64
	asset int
}

// Epoch returns the time at which every library starts.
func Epoch() time.Time { return time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC) }

// NewLibrary returns an empty library with room for so many assets and edits. Each Add is an edit, too.
func NewLibrary(assets, edits int) *Library {
	return &Library{
		assets: make([]asset, 0, assets), alive: newCounts(assets), recent: newNewest(assets),
		edits: make([]edit, 0, edits), listed: newCounts(edits),
	}
}

// Sleep advances the library's clock.
func (l *Library) Sleep(seconds int64) { l.now += seconds }

// Now returns the clock in seconds since Epoch.
func (l *Library) Now() int64 { return l.now }

// Add adds an asset and returns its place.
func (l *Library) Add() int {
	i := len(l.assets)
	l.assets = append(l.assets, asset{created: l.now, edit: -1})
	l.alive.put(i, true)
	l.Edit(i)
	return i
}

// Edit moves an asset's modified_at to now. A deleted asset comes back.
func (l *Library) Edit(i int) {
	l.hide(i)
	l.alive.put(i, true)
	l.assets[i].edit = len(l.edits)
	l.edits = append(l.edits, edit{at: l.now, asset: i})
	l.show(i)
}

// Delete removes an asset from every listing.
func (l *Library) Delete(i int) {
	l.hide(i)
	l.alive.put(i, false)
}

// Return restores a deleted asset. Its modified_at does not move.
func (l *Library) Return(i int) {
	l.alive.put(i, true)
	l.show(i)
}

func (l *Library) hide(i int) {
	if at := l.assets[i].edit; at >= 0 && l.listed.set[at] {
		l.listed.put(at, false)
		l.recent.put(i, -1)
	}
}

func (l *Library) show(i int) {
	l.listed.put(l.assets[i].edit, true)
	l.recent.put(i, int32(l.assets[i].edit))
}

// Alive reports whether the library has the asset.
func (l *Library) Alive(i int) bool { return l.alive.set[i] }

// Len returns the number of assets.
func (l *Library) Len() int { return l.alive.n }

// Made returns the number of assets, deleted ones too.
func (l *Library) Made() int { return len(l.assets) }

// ID returns the id of the asset at a place.
func ID(i int) string { return strconv.Itoa(i) }

// Place is the inverse of ID. It panics when ID does not make such ids.
func Place(id string) int {
	i, err := strconv.Atoi(id)
	if err != nil {
		panic(fmt.Sprintf("id %q is not an id of a Library", id))
	}
	return i
}

// Assets answers a GET /assets.
func (l *Library) Assets(_ context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if l.Before != nil {
		l.Before()
	}
	l.Requests++
	var places []int
	var total int
	switch created := !q.CreatedFrom.IsZero() || !q.CreatedTo.IsZero(); {
	case created && !l.Unbounded:
		places, total = l.byCreation(q)
	default:
		places, total = l.byEdit(q)
	}
	page := cmp.AssetPage{Total: total, More: q.Offset+len(places) < total}
	for _, i := range places {
		page.Items = append(page.Items, cmp.Item{Asset: l.Row(i)})
	}
	if l.Total != nil {
		page.Total = l.Total(page.Total)
	}
	return page, nil
}

// Row returns the list row of an asset.
func (l *Library) Row(i int) library.Asset {
	a := l.assets[i]
	return library.Asset{
		ID: ID(i), Type: library.TypeImage, FolderID: "folder",
		CreatedAt: Epoch().Add(time.Duration(a.created) * time.Second), ModifiedAt: Epoch().Add(time.Duration(l.edits[a.edit].at) * time.Second),
	}
}

// bounds returns the seconds since Epoch that the filters accept, inclusive.
func (l *Library) bounds(from, to time.Time) (lo, hi int64) {
	lo, hi = 0, math.MaxInt64
	if !from.IsZero() {
		lo = int64(from.Sub(Epoch()) / time.Second)
		if l.Exclusive {
			lo++
		}
	}
	if !to.IsZero() {
		hi = int64(to.Sub(Epoch()) / time.Second)
		if l.Exclusive {
			hi--
		}
	}
	return lo, hi
}

func (l *Library) byCreation(q cmp.AssetQuery) (places []int, total int) {
	lo, hi := l.bounds(q.CreatedFrom, q.CreatedTo)
	from := sort.Search(len(l.assets), func(i int) bool { return l.assets[i].created >= lo })
	to := max(from, sort.Search(len(l.assets), func(i int) bool { return l.assets[i].created > hi }))
	places = l.recent.top(from, to, q.Offset+q.PageSize)
	return places[min(q.Offset, len(places)):], l.alive.below(to) - l.alive.below(from)
}

func (l *Library) byEdit(q cmp.AssetQuery) (places []int, total int) {
	lo, hi := l.bounds(q.ModifiedFrom, q.ModifiedTo)
	from := l.listed.below(sort.Search(len(l.edits), func(i int) bool { return l.edits[i].at >= lo }))
	to := l.listed.below(sort.Search(len(l.edits), func(i int) bool { return l.edits[i].at > hi }))
	for n := to - 1 - q.Offset; n >= max(from, to-q.Offset-q.PageSize); n-- {
		places = append(places, l.edits[l.listed.nth(n)].asset)
	}
	return places, max(to-from, 0)
}
