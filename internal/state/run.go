package state

import (
	"encoding/json"
	"errors"
	"time"
)

// ErrRunning says that another process executes the run.
var ErrRunning = errors.New("already running in another process")

// Run is one run of an observation.
type Run struct {
	ID        int64
	Kind      string
	Resumed   bool // continues where another process left it
	StartedAt time.Time
	Cursor    json.RawMessage
}

// Progress is what a run did since it last recorded its progress, and where it is.
type Progress struct {
	Requests int
	Seen     int
	Changed  int
	Suspects []string // assets of the mirror that were not where they should be
	Cursor   json.RawMessage
}

// RunTotals is what a run has done so far, including before it was resumed.
type RunTotals struct {
	Requests, Seen, Changed, Suspects int64
}
