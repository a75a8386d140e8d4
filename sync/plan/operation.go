package plan

import "damsync/internal/state"

// Op is an operation at a target.
type Op int

// The operations.
const (
	OpNone        Op = iota // nothing to do
	OpPut                   // create or replace bytes, path and metadata in one logical step
	OpMove                  // change the path
	OpSetMetadata           // change the metadata without sending bytes
	OpRetire                // delete or archive, depending on the remove mode
)

func (o Op) String() string {
	return [...]string{"none", "put", "move", "set metadata", "retire"}[o]
}

// NextOp returns the next operation that brings the object closer to the desired state. The caller carries it out, records
// the result and calls NextOp again until it returns OpNone.
//
// New bytes are always put together with path and metadata. With RemoveKeep an object that no longer belongs at the target
// stays. An archived object stays archived in every mode; one that belongs again is put.
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
