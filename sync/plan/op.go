package plan

import "damsync/internal/state"

// Op is one step of work at a target.
type Op int

// The operations.
const (
	OpNone        Op = iota // nothing to do
	OpPut                   // create or replace bytes, path and metadata in one logical step
	OpMove                  // another path
	OpSetMetadata           // other metadata, no bytes
	OpRetire                // delete or archive, by the remove mode
)

func (o Op) String() string {
	return [...]string{"none", "put", "move", "set metadata", "retire"}[o]
}

// NextOp returns the next step that brings the applied object nearer to the desired state. The caller
// carries it out, records the result and asks again until the answer is OpNone.
//
// New bytes are put whole, wherever the object is. With RemoveKeep an object that no longer belongs at the
// target stays. An archived object stays archived whatever the mode is, and one that belongs again is put.
func NextOp(desired state.Desired, applied state.Object, mode RemoveMode) Op {
	if !desired.Present {
		if applied.Present() && mode != RemoveKeep {
			return OpRetire
		}
		return OpNone
	}
	switch {
	case !applied.Present(), desired.Version != applied.Version:
		return OpPut
	case desired.Path != applied.Path:
		return OpMove
	case desired.MetadataHash != applied.MetadataHash:
		return OpSetMetadata
	default:
		return OpNone
	}
}
