package state

import "time"

const (
	// Handful is how many events at a time are read singly and at once. More are a
	// burst: those that follow are held back, to be read a hundred at a time.
	Handful = 5
	// Repeats is how often in HoldBack one asset is read at once. What reports it more often
	// is no person.
	Repeats = 10
	// HoldBack is the longest that an event waits for others to be read with, and how
	// long an asset that is reported over and over is not read again.
	HoldBack = 2 * time.Second
)

// Burst is what is held back, as of now.
type Burst struct {
	Lookups int
	Oldest  time.Duration // since the first of them was wanted
	Newest  time.Duration // since the last was
}

// Answered says what a page of the poll did to lookups that events asked for.
type Answered struct {
	Settled int // nothing more has to be read
	Deeper  int // the rules read more of the asset than a page tells
}

// Any tells whether the page showed an asset that was waited for.
func (a Answered) Any() bool { return a.Settled+a.Deeper > 0 }
