package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"damsync/bench/internal/benchkit"
	"damsync/sync/audit"
	"damsync/sync/audit/audittest"
)

type options struct {
	assets, deleted, seeds, tie benchkit.Quantity
	clustered                   bool
	edits                       float64
}

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	t, err := o.audits(ctx)
	if err != nil {
		return err
	}
	slices.Sort(t.requests)
	median := float64(t.requests[len(t.requests)/2]+t.requests[(len(t.requests)-1)/2]) / 2
	full := float64(o.assets) / 100
	s.Info("full scan", full, "requests")
	s.Info("audit, median", median, "requests")
	s.Exactly(0, "living assets suspected", float64(t.wrong), "")
	if o.edits > 0 { // what editors delete during an audit is left to the next
		s.Info("incomplete audits", float64(t.incomplete), "")
		return nil
	}
	s.Exactly(0, "deleted assets not found", float64(t.missed), "")
	switch {
	case o.deleted == 0:
		s.Exactly(1, "audit when nothing changed", median, "requests")
	case o.tie > 0:
	case o.deleted == 1:
		s.AtMost(1.15, "audit / log2(n/100)", median/math.Log2(full), "")
	case o.clustered:
		s.AtMost(0.01, "audit / full scan", median/full, "")
	default:
		s.AtMost(1.2, "audit / full scan", median/full, "")
	}
	return nil
}

// totals sums up the audits of all seeds.
type totals struct {
	requests   []int // of each
	missed     int   // deleted assets not suspected
	wrong      int   // living assets suspected
	incomplete int
}

// audits makes the library once and audits it with the deletions of each seed.
func (o *options) audits(ctx context.Context) (totals, error) {
	var t totals
	l := benchkit.NewLibrary(int(o.assets), int(o.tie), 33, rand.New(rand.NewPCG(1, uint64(o.assets)))) //nolint:gosec // repeatable
	m := audittest.NewMirror(l)
	for seed := range uint64(o.seeds) {
		r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // repeatable
		m.Copy()
		gone := o.drawDeleted(r)
		for _, i := range gone {
			l.Delete(i)
		}
		e := benchkit.Editor{Library: l, Random: r, Rate: o.edits, Touched: map[int]bool{}}
		if l.Before = nil; o.edits > 0 {
			l.Before = func() { e.Step(l.Requests) }
		}
		a := audit.Auditor{Library: l, Mirror: m, Bounds: audit.Bounds{Known: true}}
		report, err := a.Whole(ctx)
		if err != nil {
			return t, fmt.Errorf("audit with seed %d: %w", seed, err)
		}
		t.add(report, gone, &e)
		restore(l)
	}
	return t, nil
}

// drawDeleted chooses assets anywhere, or in runs of neighbours, as a folder or a campaign is deleted.
func (o *options) drawDeleted(r *rand.Rand) []int {
	n, of := int(o.deleted), int(o.assets)
	chosen := make(map[int]bool, n)
	places := make([]int, 0, n)
	for len(places) < n {
		from, size := r.IntN(of), 1
		if o.clustered {
			size = 20 + r.IntN(401)
		}
		for i := from; i < min(of, from+size) && len(places) < n; i++ {
			if !chosen[i] {
				chosen[i] = true
				places = append(places, i)
			}
		}
	}
	return places
}

func restore(l *audittest.Library) {
	for i := range l.Made() {
		if !l.Alive(i) {
			l.Return(i)
		}
	}
}

func (t *totals) add(report audit.Report, gone []int, e *benchkit.Editor) {
	t.requests = append(t.requests, report.Requests)
	if !report.Complete {
		t.incomplete++
	}
	suspects := make(map[int]bool, len(report.Suspects))
	for _, id := range report.Suspects {
		i := audittest.Place(id)
		suspects[i] = true
		if e.Alive(i) && !e.Touched[i] {
			t.wrong++
		}
	}
	for _, i := range gone {
		if !suspects[i] && !e.Touched[i] {
			t.missed++
		}
	}
}
