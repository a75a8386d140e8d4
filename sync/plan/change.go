package plan

import (
	"encoding/json"

	"damsync/internal/state"
)

// Change is the kind of step from one desired state to the next.
type Change int

// The changes. Unchanged needs no write and no new generation.
const (
	Unchanged Change = iota
	Added            // now belongs at the target
	Updated          // still belongs there, but path, version or metadata differ
	Removed          // no longer belongs there; the removal guard evaluates it
)

// Next compares a decision with the desired state of the placement, the zero value when there is no
// placement, and returns the desired state to store. An outcome other than Selected and
// NotSelected changes nothing, so it never removes.
func Next(d Decision, before state.Desired) (state.Desired, Change) {
	switch {
	case d.Outcome == NotSelected && before.Present:
		return state.Desired{Reason: d.Reason, Metadata: json.RawMessage("{}")}, Removed
	case d.Outcome != Selected:
		return before, Unchanged
	}
	next := state.Desired{
		Present: true, Path: d.Path, Version: d.Version, Metadata: d.Metadata, MetadataHash: d.MetadataHash, Reason: d.Reason,
	}
	switch {
	case !before.Present:
		return next, Added
	case next.Path != before.Path, next.Version != before.Version, next.MetadataHash != before.MetadataHash:
		return next, Updated
	default:
		return before, Unchanged
	}
}
