package state

import (
	"errors"

	"damsync/internal/library"
)

// ErrEmptyListing says that a listing came back empty while the mirror has rows. The upstream is failing, and
// nothing is inferred from the listing.
var ErrEmptyListing = errors.New("the library listed nothing where the mirror has entries")

// References is everything that assets refer to.
type References struct {
	Folders     []library.Folder
	LabelGroups []library.LabelGroup
	Fields      []library.FieldDefinition // nil when not read
}

// ReferencesApplied says what a write of References did.
type ReferencesApplied struct {
	Changed bool
	// Kept names the sets, in the plural, that were listed empty and kept because assets of the mirror refer to them.
	Kept []string
}

// Names is what a rule may refer to.
type Names struct {
	Folders map[string]bool            // by path
	Labels  map[string]map[string]bool // group name to value names
	// LabelNames maps ids of label groups and values to their current names, to resolve labels stored under an old
	// name. It is empty when built by NamesOf.
	LabelNames map[string]string
	Fields     map[string]bool // by name
}

// NamesOf collects the names of a library as read.
func NamesOf(folders []library.Folder, groups []library.LabelGroup, fields []library.FieldDefinition) Names {
	n := Names{Folders: map[string]bool{}, Labels: map[string]map[string]bool{}, Fields: map[string]bool{}}
	for _, f := range folders {
		n.Folders[f.Path] = true
	}
	for _, g := range groups {
		n.Labels[g.Name] = map[string]bool{}
		for _, v := range g.Values {
			n.Labels[g.Name][v.Name] = true
		}
	}
	for _, f := range fields {
		n.Fields[f.Name] = true
	}
	return n
}
