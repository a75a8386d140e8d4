package dam

import (
	"context"
	"fmt"
	"io"
)

// Capabilities describes a target. The zero value claims nothing.
type Capabilities struct {
	Adapter string // name of the adapter as the configuration has it

	// Place identifies where everything goes, as far as the options say: two adapters
	// with the same place would find each other's objects foreign. It contains no
	// secret. Empty when the options do not say.
	Place string

	Retire []RetireMode // modes that Retire accepts; others are ErrInvalid

	MaxPathBytes int // longest path in bytes, 0 when there is no limit
	MaxNameBytes int // longest path segment in bytes, 0 when there is no limit

	// RemembersRemoved says that ErrStale also protects a key whose object was
	// removed: Find then returns its last generation with State Absent.
	RemembersRemoved bool

	// UniquePaths says that a path leads to at most one object, so that a second
	// asset there is a Conflict and a foreign object ErrForeign. Where several objects
	// may share a path (a media library with folders), neither happens.
	UniquePaths bool

	// AtomicCreate says that a foreign object that appears in the place during a Put
	// is not overwritten: the target itself decides which came first. Without it there
	// is a moment in which the foreign object is lost.
	AtomicCreate bool

	// ConditionalReplace says that a write fails when another worker has changed the
	// object since the adapter looked, so that a late worker with a lower generation
	// never overwrites a later one's object. Without it there is a moment in which it
	// does.
	ConditionalReplace bool

	MetadataWithoutBytes bool // SetMetadata works
	ServerSideMove       bool // Move works, and transfers no bytes

	// MaxMetadataBytes limits title and metadata together, as JSON; more is
	// ErrInvalid. 0 when there is no practical limit.
	MaxMetadataBytes int
	// MetadataASCII says that metadata with characters outside ASCII is ErrInvalid.
	MetadataASCII bool

	// ContentHash is the algorithm of Remote.Hash ("sha256", "md5", "crc64nvme").
	// Empty when the target has none.
	ContentHash string

	// ResumableUpload says that Put saves sessions and resumes from them.
	// MinPartBytes is the least content after which it saves one.
	ResumableUpload bool
	MinPartBytes    int64

	ReadBack bool // the adapter is a ReadBacker
}

// Abandoner is implemented by adapters with Capabilities.ResumableUpload whose
// unfinished uploads occupy space at the target.
type Abandoner interface {
	// Abandon frees the space of an upload that will not be resumed. session was saved
	// by its Put. What cannot be freed now is left for the adapter to find later.
	// Abandon may be repeated, and accepts any bytes as a session.
	Abandon(ctx context.Context, session []byte)
}

// Abandon calls a's Abandon, if it is an Abandoner.
func Abandon(ctx context.Context, a Adapter, session []byte) {
	if abandoner, ok := a.(Abandoner); ok && len(session) > 0 {
		abandoner.Abandon(ctx, session)
	}
}

// ReadBacker is implemented by adapters with Capabilities.ReadBack. Callers check the
// capability first, as the function ReadBack does.
type ReadBacker interface {
	// ReadBack streams the bytes that the object of r has now. The caller closes the
	// stream. ErrNotFound: there is no object of ours.
	ReadBack(ctx context.Context, r Remote) (io.ReadCloser, error)
}

// ReadBack calls a's ReadBack. Without the capability it returns ErrInvalid.
func ReadBack(ctx context.Context, a Adapter, r Remote) (io.ReadCloser, error) {
	reader, ok := a.(ReadBacker)
	if !ok || !a.Describe().ReadBack {
		return nil, fmt.Errorf("read back: %w: the target cannot be read back", ErrInvalid)
	}
	return reader.ReadBack(ctx, r)
}
