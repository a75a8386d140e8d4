package dam

import "context"

// Key identifies an asset across all targets.
type Key struct {
	Instance string // the damsync installation: a random id kept in its database
	AssetID  string // opaque text, compared byte by byte
}

// OwnerMark is the ownership mark, written with every object: whose it is and what it
// holds.
type OwnerMark struct {
	Instance     string
	Target       string // name of the target in the configuration
	AssetID      string
	Version      string // content version as the CMP names it, opaque
	SHA256       string // lower-case hex; empty when not known
	Size         int64  // bytes; UnknownSize when not known
	MetadataHash string // opaque, of everything that SetMetadata writes
	Generation   int64  // only grows for one key at one target
}

// UnknownSize is the size of content whose length is not known in advance.
const UnknownSize int64 = -1

// Key returns the identity part of the mark.
func (m OwnerMark) Key() Key { return Key{Instance: m.Instance, AssetID: m.AssetID} }

// Metadata is what the configuration maps for an asset, by the target's names. The
// values are those of encoding/json.
type Metadata map[string]any

// Object is what the target should hold.
type Object struct {
	// Mark has the digest only when the core knows it in advance; see Source.Seal.
	Mark OwnerMark

	// Path is relative, with forward slashes, and already safe for common targets.
	// An adapter checks it all the same.
	Path string

	Title    string
	MIMEType string // empty when not known
	Metadata Metadata

	// Open opens the bytes, from the beginning for the zero Checkpoint. It may be
	// called again after the previous Source was closed, so that one call can repeat
	// a failed transfer. ErrCheckpoint: the bytes cannot be continued from there, only
	// read from the beginning.
	Open func(ctx context.Context, from Checkpoint) (*Source, error)

	// Adopt allows taking over an object without any mark in the place when its bytes
	// are those of this object: it gets the mark. Otherwise, and for an object that
	// another installation or target has marked, Put returns ErrForeign.
	Adopt bool

	Upload Upload
}

// Upload lets a Put resume an earlier one, with Capabilities.ResumableUpload. Other
// adapters ignore it.
type Upload struct {
	// Session is what the last unfinished Put of this key saved, also when that was
	// for other content: a session has to name the version and size it is for, and
	// one that does not fit is aborted at the target.
	Session []byte

	// Save stores a session, at most 64 KiB, durably before it returns; an empty one
	// forgets it. nil when the caller stores none. The stored session is dropped when
	// Put succeeds.
	Save func(ctx context.Context, session []byte) error
}

// Remote is what the target holds for a key.
type Remote struct {
	// Ref is the target's own handle (an id, a key). It is opaque to the core, which
	// stores it and passes it back, also as a hint. At most 1024 bytes; empty when
	// the path is handle enough.
	Ref string

	Path  string // where the object is, relative as in Object; empty when absent
	State State

	// Mark is what the object carries. Only its generation is set when the target
	// remembers a removed object; it is zero when State is Foreign.
	Mark OwnerMark

	// Token changes whenever the bytes change (an ETag, a modification time with the
	// size). It is compared for equality only. Empty when the target has none.
	Token string

	// Hash is what the target itself computed over the bytes it holds now, as
	// "<algorithm>:<lower-case hex>"; see Capabilities.ContentHash. Empty when the
	// target has none for this object.
	Hash string
}

// State says how much of an object exists.
type State string

// The states of an object at a target.
const (
	Absent     State = "absent"
	Present    State = "present"    // whole, in its place
	Archived   State = "archived"   // whole, in the archive
	Incomplete State = "incomplete" // ours, but not what its mark says: Put it again
	Foreign    State = "foreign"    // in the place, without our mark
)
