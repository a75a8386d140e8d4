package dam

import (
	"context"
	"iter"
)

// Adapter pushes objects to one target. All methods are safe for concurrent use.
// The core has at most one call in flight for a key, except for a worker that
// outlived its lease; the generation stops that one.
//
// Every write is a single logical step. When it returns an error, or never returns
// because the process died, Find says what exists, and repeating the call completes
// the step. No write is done twice: a repeated call that finds everything as asked
// changes nothing and succeeds.
//
// Errors have a class, see Classify. A failure that no class describes (the request
// was sent, but no answer came) is ClassUnknown: the core calls Find before it
// repeats anything. A method returns promptly with the context's error when ctx
// ends.
//
// What only some targets can do is a field of Capabilities. It either changes what
// the core asks of the methods here, or stands for a small interface beside this
// one, such as ReadBacker.
type Adapter interface {
	// Describe returns what the target can do. It does no I/O and always returns
	// the same.
	Describe() Capabilities

	// Check reports whether the target can be used: it is reachable, accepts the
	// credentials, and is writable. The core calls it before any other method, and
	// again while the target is unavailable. populated says that the core has
	// recorded objects there: a target that looks untouched (a disk that is not
	// mounted, an emptied bucket) is then ErrUnavailable instead of new. Check
	// leaves nothing behind: the first write creates what damsync needs at a new
	// target. The error joins one Denied for each thing that a person has to
	// change.
	Check(ctx context.Context, populated bool) error

	// Find looks for the object of key and writes nothing. It is authoritative:
	// after an unknown outcome its answer decides. hints are all paths and refs
	// that the core ever intended or recorded for key, newest first; an adapter
	// that can look up a key by itself may ignore them.
	//
	// When nothing is found, State is Absent and there is no error. Foreign is
	// returned only when something foreign is at the first hint and nothing of ours
	// exists anywhere.
	Find(ctx context.Context, key Key, hints []string) (Remote, error)

	// Put creates the object or replaces its bytes, metadata and path. current is
	// the answer of Find or of the last write; after success nothing of it remains
	// elsewhere, an archived copy included.
	//
	// Put publishes nothing before a Source of Open has returned io.EOF: any other
	// error means that the bytes are not those promised, and Put returns it
	// wrapped. Put need not call Open when the target already holds these bytes:
	// the same SHA-256 or, where the core does not know it, the same version and
	// size. It must call Open when current is Incomplete: the caller has found that
	// the bytes differ. The Mark in the answer is the sealed one, with SHA-256 and
	// size.
	//
	// ErrForeign: something without our mark is in the place; see Object.Adopt.
	// Conflict: another of our assets is. ErrStale, ErrInvalid: see there. Metadata
	// that the target cannot hold whole is ErrInvalid; it is never cut.
	Put(ctx context.Context, obj Object, current Remote) (Remote, error)

	// SetMetadata replaces title and metadata as a whole and moves no bytes. It
	// takes the metadata hash and the generation from mark; the rest stays as the
	// target holds it. ErrNotFound: there is no whole object of ours to change, so
	// the core has to Put. The core calls it only with
	// Capabilities.MetadataWithoutBytes; otherwise it puts.
	SetMetadata(ctx context.Context, r Remote, mark OwnerMark, title string, md Metadata) (Remote, error)

	// Move gives the object another path, also out of the archive. It takes the
	// generation from mark. Its errors are those of Put and SetMetadata. The core
	// calls it only with Capabilities.ServerSideMove; otherwise it puts.
	Move(ctx context.Context, r Remote, mark OwnerMark, path string) (Remote, error)

	// Retire takes the object away: RetireDelete for good, RetireArchive to where
	// Move or Put can take it back. It succeeds when the object is absent or
	// retired already, and when something foreign is in its place by now, which it
	// leaves alone. It takes the generation from mark. ErrForeign: the archive has
	// no room for it.
	//
	// The core never retires an object that is to be kept: it stays with its mark,
	// so that the same asset can take it over when it returns.
	Retire(ctx context.Context, r Remote, mark OwnerMark, mode RetireMode) (Remote, error)

	// List yields everything under the configured root and writes nothing: each
	// object of ours once, as Find would return it, archived and incomplete ones
	// included, and each foreign object with State Foreign and its Path. It leaves
	// out what the adapter keeps for itself (sidecars, state). The order is
	// unspecified.
	//
	// An error ends the sequence, and a sequence that was not read to its end proves
	// no absence. What changes meanwhile may be missing or come twice, so the core
	// calls Find before it acts on an answer.
	List(ctx context.Context) iter.Seq2[Remote, error]
}

// RetireMode says how an object that no longer belongs at the target is retired.
type RetireMode string

// The retire modes.
const (
	RetireDelete  RetireMode = "delete"
	RetireArchive RetireMode = "archive"
)
