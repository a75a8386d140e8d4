package cmpsim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// catalog is the data of a Library. The library's lock guards it.
type catalog struct {
	seed      int64
	ownerOrg  string
	owners    []string
	campaigns []string

	assets      map[string]*asset // trashed ones too
	modified    *index            // the living ones, newest first
	folders     []*folder
	groups      []*labelGroup // by name
	fields      []*fieldDef
	nextOrdinal uint32
}

func (c *catalog) live(id string) (*asset, error) {
	a, ok := c.assets[id]
	if !ok || a.trashed {
		return nil, errNoResource
	}
	return a, nil
}

// detailOf returns the values of a that only its detail shows. The caller must not change them.
func (c *catalog) detailOf(a *asset) *detail {
	if a.detail != nil {
		return a.detail
	}
	return c.originalDetail(a)
}

// ownDetail is detailOf for callers that change the values.
func (c *catalog) ownDetail(a *asset) *detail {
	if a.detail == nil {
		a.detail = c.originalDetail(a)
	}
	return a.detail
}

// touch moves a to the top of the list.
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

// findFolder finds a folder by id or path; "" and "/" mean the root, which is nil.
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

func (c *catalog) folderByID(id string) (*folder, error) {
	i := slices.IndexFunc(c.folders, func(f *folder) bool { return f.id == id })
	if i < 0 {
		return nil, errNoResource
	}
	return c.folders[i], nil
}

func (c *catalog) findGroup(ref string) (*labelGroup, error) {
	i := slices.IndexFunc(c.groups, func(g *labelGroup) bool { return g.answersTo(ref) })
	if i < 0 {
		return nil, fmt.Errorf("find label group %q: %w", ref, ErrNotFound)
	}
	return c.groups[i], nil
}

func (c *catalog) findField(ref string) (*fieldDef, error) {
	i := slices.IndexFunc(c.fields, func(f *fieldDef) bool { return f.answersTo(ref) })
	if i < 0 {
		return nil, fmt.Errorf("find field %q: %w", ref, ErrNotFound)
	}
	return c.fields[i], nil
}

// picks resolves labels, group to values, each by name or id.
func (c *catalog) picks(labels map[string][]string) ([]pick, error) {
	var out []pick
	for group, values := range labels {
		g, err := c.findGroup(group)
		if err != nil {
			return nil, err
		}
		p := pick{group: g}
		for _, v := range values {
			n, err := findNamed(g.values, v)
			if err != nil {
				return nil, fmt.Errorf("label group %q: %w", g.name, err)
			}
			p.values = append(p.values, n)
		}
		if len(p.values) > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b pick) int { return slices.Index(c.groups, a.group) - slices.Index(c.groups, b.group) })
	return out, nil
}

// childFolders lists the folders directly under parent, newest modified first.
func (c *catalog) childFolders(parent *folder) []*folder {
	return slices.DeleteFunc(c.allFolders(), func(f *folder) bool { return f.parent != parent })
}

// allFolders lists every folder, newest modified first.
func (c *catalog) allFolders() []*folder {
	return slices.SortedFunc(slices.Values(c.folders), func(a, b *folder) int {
		return cmp.Or(cmp.Compare(b.modified, a.modified), cmp.Compare(a.tie, b.tie))
	})
}
