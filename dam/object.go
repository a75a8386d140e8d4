package dam

import "context"

// Key identifies an asset across all targets.
type Key struct {
	Instance string // the damsync installation: a random id kept in its database
	AssetID  string // opaque text, compared byte by byte
}

// Mark is written with every object: whose it is and what it holds.
type Mark struct {
	Instance     string
	Target       string // name of the target in the configuration
	AssetID      string
	Version      string // content version as the CMP names it, opaque
	SHA256       string // lower-case hex; empty while not known
	Size         int64  // bytes; UnknownSize while not known
	MetadataHash string // opaque, of everything SetMetadata writes
	Generation   int64  // only grows for one key at one target
}

// UnknownSize is a size nobody has promised.
const UnknownSize int64 = -1

// Key gives the identity part of the mark.
func (m Mark) Key() Key { return Key{Instance: m.Instance, AssetID: m.AssetID} }

// Metadata is what the configuration maps for an asset, keyed by the target's
// names: values as encoding/json decodes them.
type Metadata map[string]any

// Object is what the target should hold.
type Object struct {
	// Mark has the digest only when the core knows it beforehand; see
	// Source.Seal.
	Mark Mark

	// Path is relative, with forward slashes, and already made safe for
	// common targets; an adapter still checks it.
	Path string

	Title    string
	MIMEType string // empty when not known
	Metadata Metadata

	// Open opens the bytes, from the beginning for the zero Checkpoint. It
	// may be called again, each time after the Source before was closed, so
	// that a failed transfer can be repeated within one call. ErrCheckpoint: the
	// bytes cannot be continued from there, only read from the beginning.
	Open func(ctx context.Context, from Checkpoint) (*Source, error)

	// Adopt allows to take over what is in the place without any mark when
	// its bytes are those of the object: it gets the mark. Otherwise, and
	// for what another installation or target has marked, it is ErrForeign.
	Adopt bool

	Upload Upload
}

// Upload lets a Put go on where an earlier one broke off, where Capabilities
// has ResumableUpload. Other adapters ignore it.
type Upload struct {
	// Session is what the last unfinished Put of this key saved, also when
	// that was for another content: a session has to say which version and
	// size it is of, and one that does not fit is given up at the target.
	Session []byte

	// Save keeps a session, at most 64 KiB of it, durably before it returns;
	// an empty one forgets. nil when the caller keeps none. Whatever is
	// saved is dropped when Put succeeds.
	Save func(ctx context.Context, session []byte) error
}

// Remote is what the target holds for a key.
type Remote struct {
	// Ref is the target's own handle (an id, a key). It is opaque to the
	// core, which stores it and gives it back, also as a hint. At most
	// 1024 bytes; empty when the path is handle enough.
	Ref string

	Path  string // where the object is, relative as in Object; empty when absent
	State State

	// Mark is what the object carries. When the target remembers a removed
	// object only its generation is set; when State is Foreign it is zero.
	Mark Mark

	// Token is what the target changes whenever the bytes change (an ETag,
	// a modification time with the size): compared for equality and nothing
	// else. Empty when the target has none.
	Token string

	// Hash is what the target itself computed over the bytes it holds now,
	// as "<algorithm>:<lower-case hex>"; see Capabilities.ContentHash.
	// Empty when it offers none for this object.
	Hash string
}

// State says how much of an object is there.
type State string

// The states of an object at a target.
const (
	Absent     State = "absent"
	Present    State = "present"    // whole, in its place
	Archived   State = "archived"   // whole, in the archive
	Incomplete State = "incomplete" // ours, but not what its mark says: Put it again
	Foreign    State = "foreign"    // in the place, without our mark
)
