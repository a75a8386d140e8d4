// Package audittest is a library and a mirror in memory, of a million assets and
// more, that answer in logarithmic time: what audits and walks are measured
// against on a virtual clock. It is test support.
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

// Library is a library as the vendor's document describes it: sorted by modified_at, newest
// first, paged by offset over a live list. It is for one goroutine.
type Library struct {
	assets []asset // by created_at
	alive  *counts // by place in assets
	recent *newest // alive, by place in assets: the place in edits

	edits  []edit  // every modification, in its order; an asset is listed at its last
	listed *counts // by place in edits
	now    int64

	// Behavior that the vendor leaves open, and misbehavior.
	Exclusive bool // time filters leave out the given second
	Unbounded bool // created_at filters are not obeyed
	Total     func(int) int
	Before    func() // called before each request
	Requests  int
}

type asset struct {
	created int64
	edit    int // its place in edits
}

type edit struct {
	at    int64
	asset int
}

// Epoch is the time of the first second of a library.
func Epoch() time.Time { return time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC) }

// NewLibrary returns an empty library with room for that many assets and modifications.
func NewLibrary(assets, edits int) *Library {
	return &Library{
		assets: make([]asset, 0, assets), alive: newCounts(assets), recent: newNewest(assets),
		edits: make([]edit, 0, edits), listed: newCounts(edits),
	}
}

// Sleep lets the library's clock go on.
func (l *Library) Sleep(seconds int64) { l.now += seconds }

// Now is the second since Epoch.
func (l *Library) Now() int64 { return l.now }

// Add adds an asset now and returns its place.
func (l *Library) Add() int {
	i := len(l.assets)
	l.assets = append(l.assets, asset{created: l.now, edit: -1})
	l.alive.put(i, true)
	l.Edit(i)
	return i
}

// Edit modifies an asset now; one that was deleted comes back.
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

// Return lists an asset again that was deleted, as it was: no time moves.
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

// Alive tells whether the library has the asset.
func (l *Library) Alive(i int) bool { return l.alive.set[i] }

// Len is how many assets there are, Made how many there ever were.
func (l *Library) Len() int { return l.alive.n }

// Made counts the deleted ones, too.
func (l *Library) Made() int { return len(l.assets) }

// ID is the asset's id; Place is its inverse.
func ID(i int) string { return strconv.Itoa(i) }

// Place is the place of the asset with an id.
func Place(id string) int {
	i, err := strconv.Atoi(id)
	if err != nil {
		panic(fmt.Sprintf("id %q is none of ours", id))
	}
	return i
}

// Assets answers as GET /assets does.
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
		page.Items = append(page.Items, cmp.Item{Asset: l.row(i)})
	}
	if l.Total != nil {
		page.Total = l.Total(page.Total)
	}
	return page, nil
}

func (l *Library) row(i int) library.Asset {
	a := l.assets[i]
	return library.Asset{
		ID: ID(i), Type: library.TypeImage, FolderID: "folder",
		CreatedAt: Epoch().Add(time.Duration(a.created) * time.Second), ModifiedAt: Epoch().Add(time.Duration(l.edits[a.edit].at) * time.Second),
	}
}

// bounds are the seconds that filters let through, both inclusive.
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
