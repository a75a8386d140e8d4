package state

import "time"

// FirstLight is how far the reading in depth of many assets got.
type FirstLight struct {
	StartedAt   time.Time  `json:"started_at"`
	Done        int64      `json:"done"`         // assets read since then
	Left        int64      `json:"left"`         // assets that wait
	Requests    int64      `json:"requests"`     // that were spent on those done
	ExpectedEnd *time.Time `json:"expected_end"` // by the pace and the quota; null when it is not known
}

// PerAsset is how many requests an asset has cost, at least one.
func (f FirstLight) PerAsset() float64 {
	if f.Done == 0 {
		return 1
	}
	return max(1, float64(f.Requests)/float64(f.Done))
}

// Waiting counts assets that wait to be read when there is quota to spare.
type Waiting struct {
	Backfill int64 // for what the mirror does not know
	Refresh  int64 // to see whether it is still true
}

// LastReading is an asset and when its detail was last read.
type LastReading struct {
	AssetID string
	ReadAt  time.Time
}
