// Package library defines the types of the CMP library that all packages share: assets
// on three levels of detail, folders, label groups and field definitions. It contains
// data only and does no I/O.
//
// Identifiers are opaque text, compared case-sensitively and never validated. Times are
// UTC in the CMP's resolution, usually one second, so expect different assets with equal
// times.
package library

import (
	"encoding/json"
	"time"
)

// The asset types that the CMP documents. Others are accepted.
const (
	TypeArticle           = "article"
	TypeImage             = "image"
	TypeVideo             = "video"
	TypeRawFile           = "raw_file"
	TypeStructuredContent = "structured_content"
)

// FileTypes returns the asset types that have a file to download.
func FileTypes() []string { return []string{TypeImage, TypeVideo, TypeRawFile} }

// Level is how much of an asset is known or needed. Each level costs more API requests
// than the one before: a summary 1/100, a detail 1, fields 1 more.
type Level int

// The levels, in order of cost.
const (
	LevelSummary Level = iota
	LevelDetail
	LevelFields
)

func (l Level) String() string {
	switch l {
	case LevelSummary:
		return "summary"
	case LevelDetail:
		return "detail"
	default:
		return "fields"
	}
}

// Hash is the SHA-256 of one level's content without its volatile parts (download and
// thumbnail URLs). It detects changes.
type Hash [32]byte

// Asset is the summary of an asset, as in a list row.
type Asset struct {
	ID                  string
	Type                string
	Title               string
	MIMEType            string
	FileExtension       string // without the dot; empty when the CMP has null
	CreatedAt           time.Time
	ModifiedAt          time.Time
	FolderID            string // empty at the root
	FileLocation        string // folder path text, "/" at the root
	Archived            bool
	Labels              []Label
	OwnerOrganizationID string
	Self                string          // links.self as received; empty when unknown
	Raw                 json.RawMessage // as received, without download tokens
	Hash                Hash            // the Digest, set only when read from the mirror
}

// Label is one label group of an asset with the chosen values.
type Label struct {
	Group  Named   `json:"group"`
	Values []Named `json:"values"`
}

// Named is an id with its display name.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UnknownSize is the size of a file for which the library names none.
const UnknownSize int64 = -1

// Detail is the second level: what only the endpoint of an asset's type reveals.
type Detail struct {
	Description   string
	AltText       string
	Attribution   string
	Tags          []string
	ExpiresAt     *time.Time
	Public        bool
	Width, Height int
	Size          int64 // bytes, or UnknownSize
	VersionNumber int64
	VersionID     string
	OwnerID       string
	Raw           json.RawMessage // as received, without download tokens
	Hash          Hash            // of Raw
}

// FieldValue is one custom field of one asset. Names holds the names of choice values,
// aligned with Values; it is empty for fields without choices.
type FieldValue struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Values []string `json:"values"`
	Names  []string `json:"names,omitempty"`
}

// Fields is the third level: every custom field attached to an asset.
type Fields struct {
	Values []FieldValue
	Raw    json.RawMessage
	Hash   Hash
}

// Folder is one library folder. ParentID is empty for a root folder.
type Folder struct {
	ID         string
	ParentID   string
	Name       string
	Path       string // as the CMP writes it, such as "/a/b"
	CreatedAt  time.Time
	ModifiedAt time.Time
	Raw        json.RawMessage
}

// LabelGroup is a label group with all its possible values.
type LabelGroup struct {
	ID     string
	Name   string
	Values []Named
	Raw    json.RawMessage
}

// FieldDefinition is a custom field that the organization defines. Choices is empty for
// field types without choices.
type FieldDefinition struct {
	ID      string
	Name    string
	Type    string
	Active  bool
	Choices []Named
	Raw     json.RawMessage
}
