package dam

import (
	"context"
	"fmt"
	"io"
)

// Capabilities describes a target. The zero value claims nothing.
type Capabilities struct {
	Adapter string // name of the adapter as the configuration has it

	// Place identifies where everything goes, as far as the options tell:
	// adapters with equal places would find each other's objects foreign. It
	// holds no secret. Empty when the options do not tell.
	Place string

	Retire []RetireMode // modes that Retire accepts; another is ErrInvalid

	MaxPathBytes int // longest path in bytes, 0 when there is no limit
	MaxNameBytes int // longest path segment in bytes, 0 when there is no limit

	// RemembersRemoved says that ErrStale also guards a key whose object
	// was removed: Find then gives its last generation with State Absent.
	RemembersRemoved bool

	// UniquePaths says that one path leads to at most one object, so that a
	// second asset there is Conflict and something foreign ErrForeign. Where
	// several objects may share a path (a media library with folders) neither
	// happens.
	UniquePaths bool

	// AtomicCreate says that something foreign that comes to the place while
	// Put is on its way is not overwritten: the target itself decides who was
	// first. Without it there is a moment in which it is lost.
	AtomicCreate bool

	// ConditionalReplace says that a write fails when another worker's came
	// to the object since the adapter looked, so that a late worker with a
	// lower generation never lands on a later one's. Without it there is a
	// moment in which it does.
	ConditionalReplace bool

	MetadataWithoutBytes bool // SetMetadata is there to be called
	ServerSideMove       bool // Move is there to be called, and moves no bytes

	// MaxMetadataBytes is how much metadata the target holds, title included,
	// as encoding/json has it; more is ErrInvalid. 0 when there is no limit
	// worth naming.
	MaxMetadataBytes int
	// MetadataASCII says that other characters in metadata are ErrInvalid.
	MetadataASCII bool

	// ContentHash is the algorithm of Remote.Hash ("sha256", "md5",
	// "crc64nvme"), empty when the target offers none.
	ContentHash string

	// ResumableUpload says that Put saves sessions and goes on from them.
	// MinPartBytes is the least content after which one is saved.
	ResumableUpload bool
	MinPartBytes    int64

	ReadBack bool // the adapter is a ReadBacker
}

// Abandoner is implemented by adapters with Capabilities.ResumableUpload whose
// unfinished uploads take room at the target.
type Abandoner interface {
	// Abandon frees what the upload of session, saved by an unfinished Put that
	// nobody will go on with, holds at the target. What cannot be freed now is left
	// for the adapter to find. It may be repeated, and any session may be given.
	Abandon(ctx context.Context, session []byte)
}

// Abandon calls a's Abandon, if it is an Abandoner.
func Abandon(ctx context.Context, a Adapter, session []byte) {
	if abandoner, ok := a.(Abandoner); ok && len(session) > 0 {
		abandoner.Abandon(ctx, session)
	}
}

// ReadBacker is implemented by adapters with Capabilities.ReadBack. Whoever
// calls it asks for the capability first; the function ReadBack does.
type ReadBacker interface {
	// ReadBack streams the bytes of the object that r describes, whatever is
	// there now. The caller closes it. ErrNotFound: nothing of ours is there.
	ReadBack(ctx context.Context, r Remote) (io.ReadCloser, error)
}

// ReadBack calls a's ReadBack. Without the capability it is ErrInvalid.
func ReadBack(ctx context.Context, a Adapter, r Remote) (io.ReadCloser, error) {
	reader, ok := a.(ReadBacker)
	if !ok || !a.Describe().ReadBack {
		return nil, fmt.Errorf("read back: %w: the target gives no bytes", ErrInvalid)
	}
	return reader.ReadBack(ctx, r)
}
