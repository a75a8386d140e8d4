package state

import (
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
)

// ErrMirrored says that an asset was read where an event claimed it to be, and that the mirror has gained the asset
// since. It has to be read where the mirror says.
var ErrMirrored = errors.New("the mirror gained the asset while it was read")

// LongestWait is the longest that a lookup or a placement waits for its next attempt.
const LongestWait = 6 * time.Hour

// Failure is why a lookup or a placement failed for now.
type Failure struct {
	Class  string
	Reason string        // for people
	After  time.Duration // until the next attempt
}

// Ref names an asset to read.
type Ref struct {
	ID, Type, Self string
}

// Lookup is one asset to read by itself, claimed by this process.
type Lookup struct {
	AssetID     string
	Type        string
	Self        string
	Mirrored    bool // the mirror has the asset, and Type and Self come from it; else from an event
	Class       grant.Class
	Observation Observation
	Requested   int64 // number of the latest request; finishing the lookup finishes requests up to it
	InboxID     int64 // id of the latest event; finishing the lookup processes events up to it
	Gone        bool
	SourceTask  string
	Attempts    int
}

// Fetched is what a lookup found.
type Fetched struct {
	Asset     library.Asset
	Detail    library.Detail
	Fields    *library.Fields // nil when not read
	ReadAt    time.Time       // by the database's clock, before the first request
	GraceOver bool            // false: a further change in the same second would not show
}

const (
	// Handful is how many events at a time are read singly and at once. Further ones are a burst: they wait for
	// pages of the poll, which show a hundred assets each.
	Handful = 5
	// Repeats is how often one asset is read at once within HoldBack. No person edits it more often than that.
	Repeats = 10
	// HoldBack is the longest that an event waits for others to be read with it, and how long an asset that is
	// reported again and again is not read.
	HoldBack = 2 * time.Second
)

// Burst is what is held back at the moment.
type Burst struct {
	Lookups int
	Oldest  time.Duration // since the first of them was requested
	Newest  time.Duration // since the last was
}

// Answered says what a page of the poll did to lookups that events requested.
type Answered struct {
	Finished int // nothing more has to be read
	Deeper   int // the rules read more of the asset than a page shows
}

// Any reports whether the page showed a requested asset.
func (a Answered) Any() bool { return a.Finished+a.Deeper > 0 }
