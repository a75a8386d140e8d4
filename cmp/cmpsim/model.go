package cmpsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
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

// kindInfo is how the document names a kind: the value of type, the schema in operation ids, the
// path segment of the detail, and the type of content.
type kindInfo struct{ name, schema, path, contentType string }

func (k kind) info() kindInfo {
	switch k {
	case kindImage:
		return kindInfo{"image", "Image", "images", "url"}
	case kindVideo:
		return kindInfo{"video", "Video", "videos", "url"}
	case kindRawFile:
		return kindInfo{"raw_file", "RawFile", "raw-files", "url"}
	case kindArticle:
		return kindInfo{"article", "Article", "articles", "html_body"}
	default:
		return kindInfo{"structured_content", "StructuredContent", "structured-contents", "api_url"}
	}
}

func (k kind) isFile() bool { return k <= kindRawFile }

func parseKind(name string) (kind, bool) {
	for k := kindImage; k <= kindStructured; k++ {
		if k.info().name == name {
			return k, true
		}
	}
	return 0, false
}

// fileType is a media type with its usual extension, which is empty where the API answers null.
type fileType struct{ mime, ext string }

func fileTypes() map[kind][]*fileType {
	return map[kind][]*fileType{
		kindImage:      {{"image/png", "png"}},
		kindVideo:      {{"video/mp4", "mp4"}, {"video/quicktime", "mov"}},
		kindRawFile:    {{"application/pdf", "pdf"}, {"application/zip", "zip"}, {"application/octet-stream", ""}},
		kindArticle:    {{"application/x-article", ""}},
		kindStructured: {{"application/x-structured-content", ""}},
	}
}

// asset is one library item.
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
	labels    []pick  // replaced, never changed in place: assets share it
	campaign  string
	detail    *detail // nil until an edit: see catalog.originalDetail
}

// detail is what only the detail endpoints show of an asset.
type detail struct {
	description, alt, attribution string
	tags                          []string
	expires                       int64 // Unix seconds; 0 means never
	noIndex                       bool
	ownerID                       string
	sourceTask                    string
	fields                        []fieldValue
	width, height                 int
	size                          int64  // bytes of the current version
	drawnTitle                    string // the title when the current version was made
}

type named struct{ id, name string }

func (n *named) answersTo(ref string) bool { return n.id == ref || n.name == ref }

// findNamed finds a value by id or name.
func findNamed(values []*named, ref string) (*named, error) {
	i := slices.IndexFunc(values, func(v *named) bool { return v.answersTo(ref) })
	if i < 0 {
		return nil, fmt.Errorf("find value %q: %w", ref, ErrNotFound)
	}
	return values[i], nil
}

// pick is an asset's values of one label group.
type pick struct {
	group  *labelGroup
	values []*named
}

type labelGroup struct {
	named
	values []*named
	multi  bool
}

// fieldDef is a custom field of the organization.
type fieldDef struct {
	named
	kind      string
	choices   []*named
	multi     bool
	decimals  int
	thousands bool
	currency  string
	labels    *labelGroup // of a field of type label: the group it shows
	inactive  bool
	helper    string
}

type fieldValue struct {
	def    *fieldDef
	values []string
}

type folder struct {
	id, name          string
	parent            *folder
	created, modified int64 // Unix seconds
	tie               uint32
}

func (f *folder) path() string {
	if f == nil {
		return "/"
	}
	var parts []string
	for ; f != nil; f = f.parent {
		parts = append(parts, f.name)
	}
	slices.Reverse(parts)
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

// folderID returns "" for the root.
func folderID(f *folder) string {
	if f == nil {
		return ""
	}
	return f.id
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
