package plan

// Applied is what is at a target for one asset, as last seen or done by us.
type Applied int

// The applied states.
const (
	AppliedAbsent Applied = iota
	AppliedPresent
	AppliedArchived
)

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
	switch o {
	case OpNone:
		return "none"
	case OpPut:
		return "put"
	case OpMove:
		return "move"
	case OpSetMetadata:
		return "set metadata"
	case OpRetire:
		return "retire"
	default:
		return "unknown operation"
	}
}

// NextOp returns the next step that brings the applied state nearer to the
// desired one; the caller applies it, notes the result and asks again until
// there is none. applied counts only when state is AppliedPresent.
//
// New bytes are put whole, wherever the object is now. With RemoveKeep an
// object that no longer belongs stays: there is nothing to do. An archived
// object stays archived whatever the mode is now, and one that belongs again is
// put.
func NextOp(desired, applied State, state Applied, mode RemoveMode) Op {
	if !desired.Present {
		if state == AppliedPresent && mode != RemoveKeep {
			return OpRetire
		}
		return OpNone
	}
	switch {
	case state != AppliedPresent, desired.Version != applied.Version:
		return OpPut
	case desired.Path != applied.Path:
		return OpMove
	case desired.MetadataHash != applied.MetadataHash:
		return OpSetMetadata
	default:
		return OpNone
	}
}
