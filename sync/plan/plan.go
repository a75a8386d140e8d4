// Package plan is the pure part of the engine. From the snapshot of an asset and
// the rule of a target it decides whether the asset belongs there, and with which
// path, version and metadata. From a decision and a stored placement it computes
// what to change. It also evaluates removal waves.
//
// It has no clock and does no I/O: the same input gives the same output on every
// machine. All functions are safe for concurrent use.
package plan

import (
	"encoding/json"

	"damsync/internal/library"
)

// DefaultPath is the path template of a target that configures none. It contains
// the asset id, so two assets never have the same path.
const DefaultPath = `{asset.folder}/{asset.id}/{asset.file_name}`

// Spec is the rule of a target as configured. The zero value of each part means
// its default; Compile fills in the defaults.
type Spec struct {
	Name         string
	Select       Select
	Path         string // template, braces hold an expression; empty means DefaultPath
	Metadata     []MetadataRule
	OnRemove     RemoveMode   // empty means RemoveArchive
	RemovalLimit RemovalLimit // zero means DefaultRemovalLimit
}

// Select specifies which assets belong at a target. The zero value selects every
// asset that has a file and is not expired.
type Select struct {
	Types   []string            // any of; empty means library.FileTypes
	Folders []string            // doublestar patterns, any of; empty means all
	Labels  map[string][]string // group name to value names: any value within a group, all groups together
	When    string              // boolean expression; empty means true
	Expired string              // ExpiredExclude (default) or ExpiredIgnore
}

// The values of Select.Expired. Only the detail has the expiry, so
// ExpiredExclude costs one request for each asset.
const (
	ExpiredExclude = "exclude"
	ExpiredIgnore  = "ignore"
)

// MetadataRule computes one metadata value at the target.
type MetadataRule struct {
	Key  string
	Expr string
}

// RemoveMode specifies what a target does with an object that no longer belongs
// there.
type RemoveMode string

// The remove modes. RemoveKeep leaves the object as it is.
const (
	RemoveDelete  RemoveMode = "delete"
	RemoveArchive RemoveMode = "archive"
	RemoveKeep    RemoveMode = "keep"
)

// Problem is an error in a Spec.
type Problem struct {
	Field   string // key path such as "select.when", "metadata.title", "select.folders[1]"
	Offset  int    // byte offset inside the value; 0 when the problem concerns the whole value
	Message string // what is wrong and how to fix it
}

// References are the names in the library that a rule relies on. A target must
// not run while the library lacks one of them: it would select too little.
type References struct {
	Labels         map[string][]string // group name to value names, both sorted; no values when only the group is named
	Fields         []string            // custom field names, sorted
	FolderPatterns []string            // the fixed folder prefix of each pattern that has one, as a folder path ("/Brand")
}

// Outcome is the kind of a Decision.
type Outcome int

// The outcomes. NeedsDetail, NeedsFields and Failed leave open whether the asset
// belongs at the target and never change a placement.
const (
	NotSelected Outcome = iota
	Selected
	NeedsDetail
	NeedsFields
	Failed // an expression failed on this asset
)

func (o Outcome) String() string {
	return [...]string{"not selected", "selected", "needs detail", "needs fields", "failed"}[o]
}

// Decision is the result of evaluating an asset for a target.
type Decision struct {
	Outcome Outcome
	Reason  string // for people: why not selected, or what failed; empty when selected

	// Path, Version, Metadata and MetadataHash are set when selected.
	Path         string          // relative, slash-separated, as SafePath makes it
	Version      string          // opaque; differs when the bytes may differ
	Metadata     json.RawMessage // an object: metadata key to value
	MetadataHash library.Hash
}
