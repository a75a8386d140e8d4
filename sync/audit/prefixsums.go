package audit

import (
	"cmp"
	"slices"
	"time"
)

// prefixSums sums weights by the time they belong to.
type prefixSums struct {
	entries []entry
	sorted  int // entries in order
}

type entry struct {
	at     int64 // seconds
	weight int
}

func (a *prefixSums) add(at time.Time, weight int) {
	if weight != 0 {
		a.entries = append(a.entries, entry{at.Unix(), weight})
	}
}

// in sums the weights within w.
func (a *prefixSums) in(w Window) int {
	byTime := func(x, y entry) int { return cmp.Compare(x.at, y.at) }
	if a.sorted < len(a.entries) {
		slices.SortStableFunc(a.entries, byTime)
		a.sorted = len(a.entries)
	}
	from := 0
	if !w.From.IsZero() {
		from, _ = slices.BinarySearchFunc(a.entries, entry{at: w.From.Unix()}, byTime)
	}
	sum := 0
	for _, e := range a.entries[from:] {
		if !w.To.IsZero() && e.at > w.To.Unix() {
			break
		}
		sum += e.weight
	}
	return sum
}
