package cmpsim

import (
	"fmt"
	"slices"
	"strings"
)

// catalog is the library: what it holds and the orders it is read in. The
// Simulator's lock guards it.
type catalog struct {
	seed     int64
	ownerOrg string
	owners   []string

	assets   map[string]*asset // trashed ones too
	modified *index            // the living ones, newest first
	folders  []*folder
	groups   []*labelGroup // by name
	fields   []*fieldDef
	nextOrd  uint32

	campaigns []string
}

func (c *catalog) live(id string) (*asset, bool) {
	a, ok := c.assets[id]
	if !ok || a.trashed {
		return nil, false
	}
	return a, true
}

// detailOf returns what the detail endpoints show of a. The caller must not
// change it.
func (c *catalog) detailOf(a *asset) *detail {
	if a.detail != nil {
		return a.detail
	}
	return c.originalDetail(a)
}

// ownDetail returns a's detail to be changed.
func (c *catalog) ownDetail(a *asset) *detail {
	if a.detail == nil {
		a.detail = c.originalDetail(a)
	}
	return a.detail
}

// touch moves a to the top of the list as an edit at now does. Within the order
// an asset's keys never change in place.
func (c *catalog) touch(a *asset, now int64) {
	c.modified.remove(a)
	a.modified = max(now, a.created)
	c.modified.insert(a)
}

func (c *catalog) put(a *asset) {
	c.assets[a.id] = a
	c.modified.insert(a)
}

func (c *catalog) trash(a *asset) {
	a.trashed = true
	c.modified.remove(a)
}

func (c *catalog) versionID(a *asset) string {
	return hexID(newRand(c.seed, "version", uint64(a.ordinal)<<32|uint64(a.version)))
}

// findFolder accepts an id or a path; "" and "/" are the root, nil.
func (c *catalog) findFolder(ref string) (*folder, error) {
	if ref == "" || ref == "/" {
		return nil, nil
	}
	for _, f := range c.folders {
		if f.id == ref || (strings.HasPrefix(ref, "/") && f.path() == ref) {
			return f, nil
		}
	}
	return nil, fmt.Errorf("find folder %q: %w", ref, ErrNotFound)
}

func (c *catalog) findGroup(ref string) (*labelGroup, error) {
	for _, g := range c.groups {
		if g.id == ref || g.name == ref {
			return g, nil
		}
	}
	return nil, fmt.Errorf("find label group %q: %w", ref, ErrNotFound)
}

func (c *catalog) findField(ref string) (*fieldDef, error) {
	for _, f := range c.fields {
		if f.id == ref || f.name == ref {
			return f, nil
		}
	}
	return nil, fmt.Errorf("find field %q: %w", ref, ErrNotFound)
}

func findNamed(values []*named, ref string) (*named, bool) {
	for _, v := range values {
		if v.id == ref || v.name == ref {
			return v, true
		}
	}
	return nil, false
}

// childFolders lists the folders directly under parent, or every folder.
func (c *catalog) childFolders(parent *folder, all bool) []*folder {
	var out []*folder
	for _, f := range c.folders {
		if all || f.parent == parent {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *folder) int {
		if a.modified != b.modified {
			return int(b.modified - a.modified)
		}
		return int(a.tie) - int(b.tie)
	})
	return out
}
