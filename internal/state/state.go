// Package state holds what the engine and the store say to each other: what is
// known of an asset, what should be at a target, and the work that follows. It
// is a leaf: data only.
package state

import (
	"encoding/json"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
)

// Observation says which reading of the library saw something.
type Observation struct {
	Kind  string // KindWebhook and its like
	RunID int64  // 0 outside a run
	// Class is the class of the requests it makes. What it plans is pushed with the same urgency.
	Class grant.Class
	// Bulk says that it sees many assets for the first time, or in a new light: what has to be
	// read of them is backfill, the most valuable first.
	Bulk bool
}

// Known is everything the store knows of one asset.
type Known struct {
	Asset      library.Asset
	Folder     string
	Detail     *library.Detail // nil when unknown or older than the asset
	Fields     *library.Fields // nil when unknown or older than the asset
	SourceTask string
	Gone       bool
	Desired    map[string]Desired // by target name
	Applied    map[string]Object  // by target name
}

// Desired is what should be at a target.
type Desired struct {
	Present      bool
	Path         string
	Version      string
	Metadata     json.RawMessage
	MetadataHash library.Hash
	Reason       string // why it is there or not, for people
	Gate         string // of a stored placement: open, waiting or held
}

// Verdict is what a rule says of one asset.
type Verdict struct {
	Needs   library.Level // deeper than known: the asset has to be read
	Rank    int           // among those that have to be read in bulk, lowest first
	Changes []Change
	Failed  []DecisionFailure // rules that failed on this asset, which changes nothing
}

// DecisionFailure is a rule that failed on one asset.
type DecisionFailure struct {
	Target, Reason string
}

// Change is a placement that has to be written.
type Change struct {
	Target  string
	Desired Desired
	Gated   bool // a removal that the gate has to let through
}

// Decide judges one asset at the time now. It is pure: the store may call it
// again when what it read has moved on.
type Decide func(now time.Time, k Known) Verdict

// Applied says what a write to the mirror did.
type Applied struct {
	Seen          int
	Changed       int // rows written, new ones included
	New           int
	Restored      int        // rows that were removed
	Failed        []RowError // rows the database refused; the others are written
	FolderUnknown bool       // a changed row names a folder the mirror does not have, or at another path
}

// RowError is one row that could not be taken.
type RowError struct {
	AssetID string
	Err     error
}

// Lookup is one asset to be read singly, claimed by this process.
type Lookup struct {
	AssetID     string
	Type        string
	Self        string
	Mirrored    bool // the mirror has the asset, and Type and Self are its own; else an event's
	Class       grant.Class
	Observation Observation
	Wanted      int64 // what finishing it settles
	InboxID     int64 // events up to this one are settled with it
	Gone        bool
	SourceTask  string
	Attempts    int
}

// LongestWait is the longest that a lookup or a placement waits for its next attempt.
const LongestWait = 6 * time.Hour

// Reading is what a lookup found.
type Reading struct {
	Asset   library.Asset
	Detail  library.Detail
	Fields  *library.Fields // nil when not read
	ReadAt  time.Time       // on the database's clock, before the first request
	Settled bool            // false: a further change in the same second would not show
}

// Work is one dirty placement, claimed by this process. Its intent is
// committed.
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

// Upload is where the last unfinished upload of a placement stands.
type Upload struct {
	Session []byte // the adapter's, opaque; empty when there is none
	Version string // that was being put
	ETag    string // of the content that was being sent, as its host said; empty when unknown
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
	Token        string // what the target changes whenever the bytes change; empty when it has none
	Hash         string // what the target computed over the bytes, as algorithm:hex; empty when it gives none
}

// Present reports whether the object is at the target, whole and not archived.
func (o Object) Present() bool { return o.State == "present" }
