package state

import (
	"time"

	"damsync/internal/library"
)

// Snapshot is everything the store knows of one asset.
type Snapshot struct {
	Asset      library.Asset
	Folder     string
	Detail     *library.Detail // nil when unknown or older than the asset
	Fields     *library.Fields // nil when unknown or older than the asset
	SourceTask string
	Gone       bool
	Desired    map[string]Desired // by target name
	Applied    map[string]Object  // by target name
}

// Span is a part of the library by modified_at: (Above, UpTo], or [Above, UpTo] when Inclusive. A zero bound is open.
type Span struct {
	Above, UpTo time.Time
	Inclusive   bool
}

// Applied says what a write to the mirror did.
type Applied struct {
	Seen          int
	Changed       int // rows written, new ones included
	New           int
	Restored      int        // rows that had been removed
	Failed        []RowError // rows the database rejected; the others are written
	FolderUnknown bool       // a changed row names a folder that the mirror does not have, or has at another path
}

// RowError is one row that could not be written.
type RowError struct {
	AssetID string
	Err     error
}
