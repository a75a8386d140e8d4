package plan

import "damsync/internal/library"

// State is what should be, or what is, at a target for one asset. The other
// members are zero when it is not present.
type State struct {
	Present      bool
	Path         string
	Version      string
	MetadataHash library.Hash
}

// Change is the kind of step from one desired state to the next.
type Change int

// The changes. Unchanged needs no write and no new generation.
const (
	Unchanged Change = iota
	Added            // now belongs at the target
	Updated          // still belongs there, but path, version or metadata differ
	Removed          // no longer belongs there: a removal, which the removal gate judges
)

func (c Change) String() string {
	switch c {
	case Unchanged:
		return "unchanged"
	case Added:
		return "added"
	case Updated:
		return "updated"
	case Removed:
		return "removed"
	default:
		return "unknown change"
	}
}

// Next compares a decision with the desired state in the placement, exists
// telling whether there is a placement, and returns the desired state to store.
// A verdict that could not decide changes nothing, so it never removes.
func Next(d Decision, desired State, exists bool) (State, Change) {
	if !exists {
		desired = State{}
	}
	switch {
	case d.Verdict == NotSelected && desired.Present:
		return State{}, Removed
	case d.Verdict != Selected:
		return desired, Unchanged
	}
	next := State{Present: true, Path: d.Path, Version: d.Version, MetadataHash: d.MetadataHash}
	switch {
	case !desired.Present:
		return next, Added
	case next != desired:
		return next, Updated
	default:
		return desired, Unchanged
	}
}
