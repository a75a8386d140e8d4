package main

import (
	"math/rand/v2"

	"damsync/sync/audit/audittest"
)

// modelLibrary makes a library of n assets on a virtual clock: created over years, one in so many
// edited since. A tie is that many assets created, and last modified, in one
// second; of all assets, tied percent are in ties.
func modelLibrary(n, tie, tied int, r *rand.Rand) *audittest.Library {
	const spare = 20_000 // for what editors add meanwhile
	l := audittest.NewLibrary(n+spare, 2*n+10*spare)
	for l.Made() < n {
		l.Sleep(1 + r.Int64N(600))
		size := 1
		if tie > 1 && r.IntN(100*tie) < tied {
			size = tie
		}
		folder := uint8(r.IntN(8))
		for range min(size, n-l.Made()) {
			l.Add(uint8(r.IntN(4)), folder)
		}
	}
	for range n / 10 {
		l.Sleep(r.Int64N(60))
		l.Edit(r.IntN(n))
	}
	return l
}

// drawDeleted chooses n assets: anywhere, or in runs of neighbours as a folder or a campaign is.
func drawDeleted(n, of int, clustered bool, r *rand.Rand) []int {
	chosen := make(map[int]bool, n)
	places := make([]int, 0, n)
	for len(places) < n {
		from, size := r.IntN(of), 1
		if clustered {
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

// editor changes a library now and then.
type editor struct {
	*audittest.Library
	r       *rand.Rand
	rate    float64      // changes a request
	touched map[int]bool // edited, deleted or added
}

// step lets a tenth of a second go by, and perhaps somebody work.
func (e *editor) step(requests int) {
	if requests%10 == 0 {
		e.Sleep(1)
	}
	if e.r.Float64() >= e.rate {
		return
	}
	i := e.r.IntN(e.Made())
	switch e.r.IntN(3) {
	case 0:
		e.touched[e.Add(0, 0)] = true
	case 1:
		if e.Alive(i) {
			e.touched[i] = true
			e.Edit(i)
		}
	default:
		e.touched[i] = true
		e.Delete(i)
	}
}
