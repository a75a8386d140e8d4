package benchkit

import (
	"math/rand/v2"

	"damsync/sync/audit/audittest"
)

// NewLibrary returns a library of n assets in memory, created over years, one in ten edited since.
// Of all assets, tied percent were imported in groups of tie that share one second.
func NewLibrary(n, tie, tied int, r *rand.Rand) *audittest.Library {
	const room = 20_000 // for assets that editors add later
	l := audittest.NewLibrary(n+room, 2*n+10*room)
	for l.Made() < n {
		l.Sleep(1 + r.Int64N(600))
		size := 1
		if tie > 1 && r.IntN(100*tie) < tied {
			size = tie
		}
		for range min(size, n-l.Made()) {
			l.Add()
		}
	}
	for range n / 10 {
		l.Sleep(r.Int64N(60))
		l.Edit(r.IntN(n))
	}
	return l
}

// Editor changes a library while a program reads it.
type Editor struct {
	*audittest.Library
	Random  *rand.Rand
	Rate    float64      // changes per request
	Touched map[int]bool // places edited, deleted or added
}

// Step lets a tenth of a second pass and makes a change with the probability Rate.
func (e *Editor) Step(requests int) {
	if requests%10 == 0 {
		e.Sleep(1)
	}
	if e.Random.Float64() >= e.Rate {
		return
	}
	i := e.Random.IntN(e.Made())
	switch e.Random.IntN(3) {
	case 0:
		e.Touched[e.Add()] = true
	case 1:
		if e.Alive(i) {
			e.Touched[i] = true
			e.Edit(i)
		}
	default:
		e.Touched[i] = true
		e.Delete(i)
	}
}
