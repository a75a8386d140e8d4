// Package library holds the words of the CMP library that every room shares:
// assets with their three levels of knowledge, folders, label groups and field
// definitions. It is a leaf: data only, no I/O.
//
// Identifiers are opaque text, compared case-sensitively and never validated
// for shape. Times are UTC as the CMP gave them; the CMP's own resolution is
// usually one second, so equal times of different assets are ordinary.
package library

import (
	"encoding/json"
	"time"
)

// The asset types the CMP documents. Others are accepted as they come.
const (
	TypeArticle           = "article"
	TypeImage             = "image"
	TypeVideo             = "video"
	TypeRawFile           = "raw_file"
	TypeStructuredContent = "structured_content"
)

// FileTypes are the asset types that have bytes to download.
func FileTypes() []string { return []string{TypeImage, TypeVideo, TypeRawFile} }

// Level says how much of an asset is known or needed. Each level costs more API
// requests than the one before: a summary 1/100, a detail 1, fields 1 more.
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

// Hash is the SHA-256 of one level's content without its volatile parts
// (download and thumbnail URLs), used to tell changed from unchanged.
type Hash [32]byte

// Asset is what a list row (the summary) reveals.
type Asset struct {
	ID                  string
	Type                string
	Title               string
	MIMEType            string
	FileExtension       string // without the dot; empty when the CMP gives null
	CreatedAt           time.Time
	ModifiedAt          time.Time
	FolderID            string // empty at the root
	FileLocation        string // folder path text, "/" at the root
	Archived            bool
	Labels              []Label
	OwnerOrganizationID string
	Self                string          // links.self as given; empty when unknown
	Raw                 json.RawMessage // the row as received, URLs that carry tokens removed
	Hash                Hash            // the Digest, as the mirror keeps it; zero in what was just read
}

// Label is one label group on an asset with the values chosen.
type Label struct {
	Group  Named   `json:"group"`
	Values []Named `json:"values"`
}

// Named is an id with its display name.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UnknownSize is the size of a file whose size the library does not say.
const UnknownSize int64 = -1

// Detail is what only the type-specific endpoint reveals.
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
	Raw           json.RawMessage // as received, URLs that carry tokens removed
	Hash          Hash            // of Raw
}

// FieldValue is one custom field of one asset. Choice values are resolved to
// names in Names; for other types Names is empty.
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
	Path       string // text as the CMP gives it, "/a/b"
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

// FieldDefinition is a custom field as the organization defines it. Choices is
// empty for field types without choices.
type FieldDefinition struct {
	ID      string
	Name    string
	Type    string
	Active  bool
	Choices []Named
	Raw     json.RawMessage
}
