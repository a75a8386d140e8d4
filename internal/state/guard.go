package state

import "time"

// GuardAnswer is what the removal guard does with the removals that wait at a target.
type GuardAnswer string

// The answers.
const (
	GuardRelease GuardAnswer = "open"
	GuardHold    GuardAnswer = "held"
	GuardWait    GuardAnswer = "waiting"
)

// Wave is what the removal guard sees of one target.
type Wave struct {
	Waiting   int
	Held      int
	Suspects  int           // reported or found missing, not yet confirmed
	Recent    int           // released in the last minute
	Present   int           // objects at the target, counted only as far as they matter
	NewestAge time.Duration // since the newest waiting removal was planned
}

// GuardLimit evaluates a wave for the removal guard.
type GuardLimit struct {
	Enough   func(Wave) int // up to how many objects at the target matter; Present is not known yet
	Evaluate func(Wave) GuardAnswer
}

// HeldRemoval is one removal that waits for approval.
type HeldRemoval struct {
	AssetID, Title, Path, Reason string
}

// HeldWave is everything that waited for approval at a target when it was read.
type HeldWave struct {
	First []HeldRemoval // ordered by path, for people
	// The whole wave, so that approval covers exactly what was shown.
	AssetIDs    []string
	Generations []int64 // by the same index
}
