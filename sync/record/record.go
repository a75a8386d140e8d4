// Package record converts between a target's answer about an object and a placement's record of it.
package record

import (
	"encoding/hex"

	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
)

// Object converts an answer to a placement's record. An object that is incomplete or foreign counts as absent: the
// next step is a put, which the target refuses if it must.
func Object(r dam.Remote) state.Object {
	o := state.Object{State: string(dam.Absent), Generation: r.Mark.Generation, Ref: r.Ref}
	if r.State != dam.Present && r.State != dam.Archived {
		return o
	}
	o.State, o.Path, o.Version = string(r.State), r.Path, r.Mark.Version
	o.SHA256, o.Size = r.Mark.SHA256, r.Mark.Size
	o.Token, o.Hash = r.Token, r.Hash
	if hash, err := hex.DecodeString(r.Mark.MetadataHash); err == nil && len(hash) == len(o.MetadataHash) {
		o.MetadataHash = library.Hash(hash)
	}
	return o
}

// Found is Object, except that an incomplete object is recorded as incomplete, with everything its mark says.
func Found(r dam.Remote) state.Object {
	if r.State != dam.Incomplete {
		return Object(r)
	}
	r.State = dam.Present
	o := Object(r)
	o.State = string(dam.Incomplete)
	return o
}

// Remote returns the object as the last outcome of a placement left it, with the mark of instance.
func Remote(instance string, w state.Work) dam.Remote {
	a := w.Applied
	r := dam.Remote{Ref: a.Ref, Path: a.Path, State: dam.State(a.State), Token: a.Token, Hash: a.Hash}
	if r.State == dam.Absent {
		r.Mark.Generation = a.Generation
		return r
	}
	r.Mark = dam.OwnerMark{
		Instance: instance, Target: w.Target, AssetID: w.AssetID, Version: a.Version, SHA256: a.SHA256, Size: a.Size,
		MetadataHash: hex.EncodeToString(a.MetadataHash[:]), Generation: a.Generation,
	}
	return r
}

// Hints returns the places where an object may be, without empty ones and duplicates, in the order given.
func Hints(places ...string) []string {
	var hints []string
	seen := map[string]bool{"": true}
	for _, p := range places {
		if !seen[p] {
			seen[p] = true
			hints = append(hints, p)
		}
	}
	return hints
}
