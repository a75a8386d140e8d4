package state

import "time"

// Backfill is how far the mirror is with reading details of assets that it has
// not read before. The zero value says that none is left.
type Backfill struct {
	Done      int64   `json:"done"`       // assets whose detail the mirror has
	Left      int64   `json:"left"`       // assets that wait for their first reading in depth
	PerMinute float64 `json:"per_minute"` // details read, averaged over the last ten minutes
}

// Waiting counts the lookups of class backfill that are pending.
type Waiting struct {
	Backfill int64 // for what the mirror does not know
	Refresh  int64 // for what it knows, to see whether that still holds
}

// LastRead is an asset and when its detail was last read.
type LastRead struct {
	AssetID string
	ReadAt  time.Time
}
