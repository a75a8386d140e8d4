package dam

import "context"

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
type Adapter interface {
	// Describe tells what the target can do. It does no I/O and always
	// gives the same answer.
	Describe() Capabilities

	// Check reports whether the target can be used: reachable, credentials
	// accepted, writable. The core calls it before any other method, and
	// again while the target is unavailable. populated says that the core
	// has recorded objects there, so that a target found untouched (a disk
	// that is not mounted, an emptied bucket) is ErrUnavailable instead of
	// new. It writes nothing: what damsync needs at a new target is made by the
	// first write.
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
	// Body is read at most once, and nothing is published before it gave
	// io.EOF: any other error of it means that the bytes are not those
	// promised. Put returns that error wrapped. Body may be left unread when
	// the target already holds these bytes: the same SHA-256, or, where the
	// core does not know it, the same version and size. The Mark in the
	// answer is the sealed one, with SHA-256 and size.
	//
	// ErrForeign: something without our mark is in the place. Conflict:
	// another of our assets is. ErrStale, ErrInvalid: see there.
	Put(ctx context.Context, obj Object, current Remote) (Remote, error)

	// SetMetadata replaces title and metadata as a whole and moves no
	// bytes. Of mark it takes the metadata hash and the generation; the
	// content's part stays as the target holds it. ErrNotFound: there is no
	// whole object of ours to change, so the core has to Put.
	SetMetadata(ctx context.Context, r Remote, mark Mark, title string, md Metadata) (Remote, error)

	// Move gives the object another path, also out of the archive. Of mark
	// it takes the generation. Errors as Put and SetMetadata.
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
}

// RetireMode says what becomes of an object that no longer belongs at the
// target.
type RetireMode string

// The retire modes.
const (
	RetireDelete  RetireMode = "delete"
	RetireArchive RetireMode = "archive"
)

// Capabilities describes a target. The zero value claims nothing.
type Capabilities struct {
	Adapter string // name of the adapter as the configuration has it

	Retire []RetireMode // modes that Retire accepts; another is ErrInvalid

	MaxPathBytes int // longest path in bytes, 0 when there is no limit
	MaxNameBytes int // longest path segment in bytes, 0 when there is no limit

	// RemembersRemoved says that ErrStale also guards a key whose object
	// was removed: Find then gives its last generation with State Absent.
	RemembersRemoved bool
}
