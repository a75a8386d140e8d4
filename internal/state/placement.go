package state

import (
	"encoding/json"
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
)

// ErrUnknownGeneration says that a generation found at a target is so high that no database of this instance has issued it.
var ErrUnknownGeneration = errors.New("the mark at the target names a generation that damsync has never issued")

// Desired is what should be at a target.
type Desired struct {
	Present      bool
	Path         string
	Version      string
	Metadata     json.RawMessage
	MetadataHash library.Hash
	Reason       string // why it is there or not, for people
	Guard        string // the removal guard's answer, of a stored placement: open, waiting or held
}

// Object is what is at a target as far as recorded.
type Object struct {
	State        string // absent, present, incomplete, archived
	Path         string
	Version      string
	MetadataHash library.Hash
	Generation   int64
	SHA256       string
	Size         int64
	Ref          string // the target's own handle
	Token        string // changes at the target whenever the bytes change; empty when the target has none
	Hash         string // what the target computed over the bytes, as algorithm:hex; empty when it gives none
}

// Present reports whether the object is at the target, whole and not archived.
func (o Object) Present() bool { return o.State == "present" }

// Work is one dirty placement, claimed by this process. Its intent is committed.
type Work struct {
	Target        string
	AssetID       string
	Type          string
	Title         string
	MIMEType      string
	ModifiedAt    time.Time
	ExpectedSize  int64 // bytes as the CMP says; -1 when not known
	Desired       Desired
	Generation    int64
	Applied       Object
	IntentPath    string // of an intent that another attempt left open
	IntentWasOpen bool
	Upload        Upload
	Attempts      int
	Class         grant.Class // of the observation that planned it
	DesiredAt     time.Time
}

// Upload is how far the last unfinished upload of a placement got.
type Upload struct {
	Session []byte // opaque, the adapter's; empty when there is none
	Version string // that was being put
	ETag    string // of the content that was being sent, as its host said; empty when unknown
}

// Placed is a placement as a verification reads it.
type Placed struct {
	AssetID    string
	Desired    Desired
	Generation int64 // desired
	Applied    Object
	// Moving says that the placement is dirty or claimed: what the target holds is about to change and proves nothing.
	Moving bool
}
