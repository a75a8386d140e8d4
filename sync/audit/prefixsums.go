package audit

import (
	"cmp"
	"slices"
	"time"
)

// prefixSums sums weights over ranges of time.
type prefixSums struct {
	entries []entry
	sorted  int // number of entries already in order
}

type entry struct {
	at     int64 // seconds
	weight int
}

func (s *prefixSums) add(at time.Time, weight int) {
	if weight != 0 {
		s.entries = append(s.entries, entry{at.Unix(), weight})
	}
}

// in returns the sum of the weights within w.
func (s *prefixSums) in(w Window) int {
	byTime := func(x, y entry) int { return cmp.Compare(x.at, y.at) }
	if s.sorted < len(s.entries) {
		slices.SortStableFunc(s.entries, byTime)
		s.sorted = len(s.entries)
	}
	from := 0
	if !w.From.IsZero() {
		from, _ = slices.BinarySearchFunc(s.entries, entry{at: w.From.Unix()}, byTime)
	}
	sum := 0
	for _, e := range s.entries[from:] {
		if !w.To.IsZero() && e.at > w.To.Unix() {
			break
		}
		sum += e.weight
	}
	return sum
}
