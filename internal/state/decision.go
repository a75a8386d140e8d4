package state

import (
	"time"

	"damsync/internal/library"
)

// Evaluate evaluates the rules on one asset at the time now. It is pure: the store calls it again when what it read
// has changed.
type Evaluate func(now time.Time, k Snapshot) Decisions

// Decisions is what the rules decide for one asset.
type Decisions struct {
	Needs   library.Level // deeper than known: the asset has to be read
	Rank    int           // order among assets that are read in bulk, lowest first
	Changes []Change
	Failed  []DecisionFailure // rules that failed on this asset; they change nothing
}

// DecisionFailure is a rule that failed on one asset.
type DecisionFailure struct {
	Target, Reason string
}

// Change is a placement that has to be written.
type Change struct {
	Target  string
	Desired Desired
	Guarded bool // a removal that has to pass the removal guard
}
