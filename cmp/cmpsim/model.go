package cmpsim

import (
	"strings"
	"time"

	"damsync/internal/library"
)

// kind is one of the five asset types.
type kind uint8

const (
	kindImage kind = iota
	kindVideo
	kindRawFile
	kindArticle
	kindStructured
)

type kindInfo struct{ name, path, contentType string }

// about gives a kind's API name, its path segment and the type of its content.
func (k kind) about() kindInfo {
	switch k {
	case kindImage:
		return kindInfo{library.TypeImage, "images", "url"}
	case kindVideo:
		return kindInfo{library.TypeVideo, "videos", "url"}
	case kindRawFile:
		return kindInfo{library.TypeRawFile, "raw-files", "url"}
	case kindArticle:
		return kindInfo{library.TypeArticle, "articles", "html_body"}
	default:
		return kindInfo{library.TypeStructuredContent, "structured-contents", "api_url"}
	}
}

func (k kind) isFile() bool { return k <= kindRawFile }

func parseKind(name string) (kind, bool) {
	for k := kindImage; k <= kindStructured; k++ {
		if k.about().name == name {
			return k, true
		}
	}
	return 0, false
}

// fileType is a media type with its usual extension; ext is empty where the API
// gives null.
type fileType struct{ mime, ext string }

// asset is one library item. What only the detail endpoints show is in detail,
// which stays nil until an edit: until then it is a function of seed and ordinal.
type asset struct {
	id, title string
	created   int64 // Unix seconds
	modified  int64
	ordinal   uint32
	tie       uint32 // orders equal modified_at; unrelated to id
	version   uint32
	kind      kind
	archived  bool
	public    bool
	trashed   bool
	format    *fileType
	folder    *folder // nil at the root
	labels    []pick  // replaced as a whole, never changed in place
	campaign  string
	detail    *detail
}

// detail is what the list does not show.
type detail struct {
	description, alt, attribution string
	tags                          []string
	expires                       int64 // Unix seconds, 0 is never
	noIndex                       bool
	ownerID                       string
	sourceTask                    string
	fields                        []fieldValue
	width, height                 int
	size                          int64  // of the current version, bytes
	drawn                         string // the title when the current version was made
}

type named struct{ id, name string }

type pick struct {
	group  *labelGroup
	values []*named
}

type labelGroup struct {
	named
	values []*named
	multi  bool
}

type fieldDef struct {
	named
	kind       string
	choices    []*named
	multi      bool
	decimals   int
	thousands  bool
	currency   string
	asksLabels *labelGroup // for type label: the group it mirrors
	inactive   bool
	helper     string
}

type fieldValue struct {
	def    *fieldDef
	values []string
}

type folder struct {
	id, name          string
	parent            *folder
	created, modified int64
	tie               uint32
}

func (f *folder) path() string {
	if f == nil {
		return "/"
	}
	var parts []string
	for ; f != nil; f = f.parent {
		parts = append([]string{f.name}, parts...)
	}
	return "/" + strings.Join(parts, "/")
}

// within reports whether f is top or below it.
func (f *folder) within(top *folder) bool {
	for ; f != nil; f = f.parent {
		if f == top {
			return true
		}
	}
	return false
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
