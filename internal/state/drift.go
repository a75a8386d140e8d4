package state

import "time"

// DriftKind says how a target differs from what damsync put there.
type DriftKind string

// The kinds of drift.
const (
	DriftMissing    DriftKind = "missing"    // a placement is in place, and the target does not have the object
	DriftChanged    DriftKind = "changed"    // the object is there, but not as damsync left it
	DriftOrphaned   DriftKind = "orphaned"   // the object is ours, and no placement wants it there
	DriftForeign    DriftKind = "foreign"    // the object is not ours; it is never touched
	DriftUnverified DriftKind = "unverified" // the target does not let the object be examined; nothing is inferred
)

// DriftKinds lists the kinds in the order in which they are shown.
func DriftKinds() []DriftKind {
	return []DriftKind{DriftMissing, DriftChanged, DriftOrphaned, DriftForeign, DriftUnverified}
}

// Drift is one object at a target that is not as damsync left it.
type Drift struct {
	Kind    DriftKind
	AssetID string // empty for foreign objects
	Path    string // where the object is, or was put
	Differs string // what is different, for people

	// Of is the placement as it was when the drift was found; zero when there is none.
	Of Placed
	// Found is what the target holds, in the terms of a placement's outcome.
	Found Object
	// Unseen says that the target's own answer about the object shows nothing wrong: only its bytes, their hash or its
	// token do.
	Unseen bool
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

// Differing counts the objects of ours that are known not to be as damsync left them.
func (c DriftCounts) Differing() int64 {
	return c[DriftMissing] + c[DriftChanged] + c[DriftOrphaned]
}

// Verification is the result of the last finished verification of a target.
type Verification struct {
	Target    string
	Depth     string
	RunID     int64
	StartedAt time.Time
	EndedAt   time.Time
	Listed    int64 // objects of ours that the target listed
	Counts    DriftCounts
}
