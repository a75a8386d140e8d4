package dam

import (
	"context"
	"iter"
)

// Adapter pushes objects to one target. All methods are safe for concurrent
// use; the core has at most one call in flight for one key, except for a
// worker that outlived its lease, which the generation turns away.
//
// Every write is a single logical step: when it returns an error, or never
// returns because the process died, Find tells what is there, and repeating
// the call finishes the step. No write is done twice: a repeated call that
// finds everything as asked changes nothing and succeeds.
//
// Errors have a class, see Classify. A failure that no class describes (the
// request was sent, no answer came) is ClassUnknown: the core calls Find
// before it repeats anything. A method returns promptly with the context's
// error when ctx ends.
//
// What only some targets can do is a field of Capabilities: either it changes
// what the core asks of the methods here, or it stands for a small interface
// beside this one, as ReadBacker.
type Adapter interface {
	// Describe tells what the target can do. It does no I/O and always
	// gives the same answer.
	Describe() Capabilities

	// Check reports whether the target can be used: reachable, credentials
	// accepted, writable. The core calls it before any other method, and
	// again while the target is unavailable. populated says that the core
	// has recorded objects there, so that a target found untouched (a disk
	// that is not mounted, an emptied bucket) is ErrUnavailable instead of
	// new. It leaves nothing behind: what damsync needs at a new target is
	// made by the first write. What a person has to change is a Denied each,
	// joined.
	Check(ctx context.Context, populated bool) error

	// Find looks for the object of key and writes nothing. It is authoritative:
	// after an outcome nobody knows, its answer decides. hints are all
	// paths and refs the core ever intended or recorded for key, newest
	// first; an adapter that can look up a key by itself may ignore them.
	//
	// Nothing found is State Absent and no error. Foreign is returned only
	// when something foreign is in the place of the first hint and nothing
	// of ours is anywhere.
	Find(ctx context.Context, key Key, hints []string) (Remote, error)

	// Put creates the object or replaces its bytes, metadata and path.
	// current is what Find or the last write answered; after success nothing of
	// it remains elsewhere, an archived copy included.
	//
	// Nothing is published before a Source of Open gave io.EOF: any other
	// error of it means that the bytes are not those promised. Put returns
	// that error wrapped. Open may go uncalled when the target already holds
	// these bytes: the same SHA-256, or, where the core does not know it, the
	// same version and size; but not when current is Incomplete, which says
	// that the caller has found them to be others. The Mark in the answer is
	// the sealed one, with SHA-256 and size.
	//
	// ErrForeign: something without our mark is in the place; see
	// Object.Adopt. Conflict: another of our assets is. ErrStale, ErrInvalid:
	// see there. Metadata that the target cannot hold whole is ErrInvalid,
	// never cut.
	Put(ctx context.Context, obj Object, current Remote) (Remote, error)

	// SetMetadata replaces title and metadata as a whole and moves no
	// bytes. Of mark it takes the metadata hash and the generation; the
	// content's part stays as the target holds it. ErrNotFound: there is no
	// whole object of ours to change, so the core has to Put. The core does
	// not call it without Capabilities.MetadataWithoutBytes; it puts.
	SetMetadata(ctx context.Context, r Remote, mark Mark, title string, md Metadata) (Remote, error)

	// Move gives the object another path, also out of the archive. Of mark
	// it takes the generation. Errors as Put and SetMetadata. The core does
	// not call it without Capabilities.ServerSideMove; it puts.
	Move(ctx context.Context, r Remote, mark Mark, path string) (Remote, error)

	// Retire takes the object away: RetireDelete for good, RetireArchive to
	// where it can be taken back by Move or Put. An object that is absent
	// or retired already is success, and so is one in whose place there is
	// something foreign by now: that is left alone. Of mark it takes the
	// generation. ErrForeign: there is no room in the archive.
	//
	// An object to be kept is never retired: it stays with its mark, so
	// that the same asset takes it up again when it comes back.
	Retire(ctx context.Context, r Remote, mark Mark, mode RetireMode) (Remote, error)

	// List gives everything under the configured root and writes nothing:
	// each object of ours once, as Find would, archived and incomplete ones
	// too, and what is foreign with State Foreign and its Path. What the
	// adapter keeps for itself (sidecars, state) is left out. The order is
	// unspecified.
	//
	// An error ends the sequence, and an unended sequence proves no absence.
	// What changes meanwhile may be missed or come twice, so the core looks
	// with Find before it acts on an answer.
	List(ctx context.Context) iter.Seq2[Remote, error]
}

// RetireMode says what becomes of an object that no longer belongs at the
// target.
type RetireMode string

// The retire modes.
const (
	RetireDelete  RetireMode = "delete"
	RetireArchive RetireMode = "archive"
)
