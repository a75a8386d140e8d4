package state

import "time"

// DriftKind says how a target differs from what was put there.
type DriftKind string

// The kinds of drift.
const (
	DriftMissing  DriftKind = "missing"  // a placement is in place, and the target does not have it
	DriftChanged  DriftKind = "changed"  // it is there, but not as we left it
	DriftOrphaned DriftKind = "orphaned" // it is ours, and no placement wants it there
	DriftForeign  DriftKind = "foreign"  // it is somebody else's; never touched
	DriftUnverified DriftKind = "unverified" // the target would not let it be looked at; nothing is inferred
)

// DriftKinds lists the kinds in the order in which they are told.
func DriftKinds() []DriftKind {
	return []DriftKind{DriftMissing, DriftChanged, DriftOrphaned, DriftForeign, DriftUnverified}
}

// Drift is one object at a target that is not as damsync left it.
type Drift struct {
	Kind    DriftKind
	AssetID string // empty for what is foreign
	Path    string // where it is, or was put
	Differs string // for people: what is different

	// Of is the placement as it was when this was found; zero for what has none.
	Of Placed
	// Found is what the target holds, in the words of a placement's outcome.
	Found Object
	// Unseen says that the target's own answer about the object shows nothing
	// wrong: only its bytes, their hash or its token do.
	Unseen bool
}

// Placed is a placement at rest or on its way, as a verification reads it.
type Placed struct {
	AssetID    string
	Desired    Desired
	Generation int64 // desired
	Applied    Object
	// Moving says that the placement is dirty, or a worker has it: what the target
	// holds is about to change and proves nothing.
	Moving bool
}

// DriftCounts counts drift by kind.
type DriftCounts map[DriftKind]int64

// Total is the sum over all kinds.
func (c DriftCounts) Total() int64 {
	var n int64
	for _, of := range c {
		n += of
	}
	return n
}

// Differing counts what is known to be otherwise than damsync left it.
func (c DriftCounts) Differing() int64 {
	return c[DriftMissing] + c[DriftChanged] + c[DriftOrphaned]
}

// Verification says how the last verification of a target that came to its end went.
type Verification struct {
	Target    string
	Depth     string
	RunID     int64
	StartedAt time.Time
	EndedAt   time.Time
	Listed    int64 // objects of ours that the target listed
	Counts    DriftCounts
}
