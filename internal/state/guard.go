package state

import "time"

// GateAnswer is what the removal guard does with the removals that wait at a target.
type GateAnswer string

// The answers.
const (
	GateRelease GateAnswer = "open"
	GateHold    GateAnswer = "held"
	GateWait    GateAnswer = "waiting"
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

// Judge evaluates a wave for the removal guard.
type Judge struct {
	Enough func(Wave) int // up to how many objects at the target matter; Present is not known yet
	Admit  func(Wave) GateAnswer
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
