package state

import (
	"time"

	"damsync/internal/library"
)

// Decide evaluates the rules on one asset at the time now. It is pure: the store calls it again when what it read
// has changed.
type Decide func(now time.Time, k Known) Verdict

// Verdict is what the rules decide for one asset.
type Verdict struct {
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
	Gated   bool // a removal that has to pass the removal guard
}
