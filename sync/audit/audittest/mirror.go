package audittest

import (
	"context"
	"fmt"
	"sort"
	"time"

	"damsync/cmp"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// Mirror is a mirror of a Library. Its assets have the same places. It is not safe for concurrent use.
type Mirror struct {
	lib      *Library
	alive    *counts
	modified []int64
}

// NewMirror returns an empty mirror of l.
func NewMirror(l *Library) *Mirror {
	return &Mirror{lib: l, alive: newCounts(len(l.alive.set)), modified: make([]int64, len(l.alive.set))}
}

// Copy makes the mirror equal to the library.
func (m *Mirror) Copy() {
	for i := range m.lib.assets {
		m.Read(i)
	}
}

// Read makes one asset of the mirror equal to the library's.
func (m *Mirror) Read(i int) {
	m.alive.put(i, m.lib.Alive(i))
	m.modified[i] = m.lib.edits[m.lib.assets[i].edit].at
}

// Put sets whether the mirror has an asset.
func (m *Mirror) Put(i int, alive bool) { m.alive.put(i, alive) }

// Alive reports whether the mirror has the asset.
func (m *Mirror) Alive(i int) bool { return m.alive.set[i] }

// Len returns the number of assets.
func (m *Mirror) Len() int { return m.alive.n }

// places returns the places in a window, from inclusive, to exclusive.
func (m *Mirror) places(w audit.Window) (from, to int) {
	created := m.lib.assets
	to = len(created)
	if !w.From.IsZero() {
		at := int64(w.From.Sub(Epoch()) / time.Second)
		from = sort.Search(len(created), func(i int) bool { return created[i].created >= at })
	}
	if !w.To.IsZero() {
		at := int64(w.To.Sub(Epoch()) / time.Second)
		to = sort.Search(len(created), func(i int) bool { return created[i].created > at })
	}
	return from, max(from, to)
}

// Count implements audit.Mirror.
func (m *Mirror) Count(_ context.Context, w audit.Window) (int, error) {
	from, to := m.places(w)
	return m.alive.below(to) - m.alive.below(from), nil
}

// Nth implements audit.Mirror.
func (m *Mirror) Nth(_ context.Context, w audit.Window, n int) (time.Time, error) {
	from, to := m.places(w)
	i := m.alive.nth(m.alive.below(from) + n)
	if i >= to {
		return time.Time{}, fmt.Errorf("window %s has no asset %d", w, n)
	}
	return Epoch().Add(time.Duration(m.lib.assets[i].created) * time.Second), nil
}

// Rows implements audit.Mirror.
func (m *Mirror) Rows(_ context.Context, w audit.Window) ([]state.WindowRow, error) {
	from, to := m.places(w)
	var rows []state.WindowRow
	for n := m.alive.below(from); n < m.alive.below(to); n++ {
		i := m.alive.nth(n)
		rows = append(rows, state.WindowRow{
			ID: ID(i), CreatedAt: Epoch().Add(time.Duration(m.lib.assets[i].created) * time.Second),
			ModifiedAt: Epoch().Add(time.Duration(m.modified[i]) * time.Second),
		})
	}
	return rows, nil
}

// Apply implements audit.Mirror.
func (m *Mirror) Apply(_ context.Context, page cmp.AssetPage) (added int, err error) {
	for _, it := range page.Items {
		i := Place(it.ID)
		if !m.alive.set[i] {
			added++
		}
		m.alive.put(i, true)
		m.modified[i] = max(m.modified[i], int64(it.ModifiedAt.Sub(Epoch())/time.Second))
	}
	return added, nil
}
