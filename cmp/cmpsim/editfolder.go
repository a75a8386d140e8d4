package cmpsim

import (
	"fmt"
	"slices"
	"strings"
)

// AddFolder makes a folder below parent (path or id, "/" for a root folder) and returns its id. No
// edit of folders sends a webhook (facts.md 7.3).
func (l *Library) AddFolder(parent, name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.catalog
	p, err := c.findFolder(parent)
	if err == nil {
		err = c.checkFolderName(p, name, nil)
	}
	if err != nil {
		return "", fmt.Errorf("add folder %q: %w", name, err)
	}
	r := newRand(c.seed, "added folder", uint64(c.nextOrdinal))
	c.nextOrdinal++
	now := l.now()
	f := &folder{id: hexID(r), name: name, parent: p, created: now, modified: now, tie: r.Uint32()}
	c.folders = append(c.folders, f)
	return f.id, nil
}

// checkFolderName reports whether a folder below parent may have this name; except is the folder
// that is to get it.
func (c *catalog) checkFolderName(parent *folder, name string, except *folder) error {
	if name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("folder name %q: %w", name, ErrInvalid)
	}
	for _, f := range c.folders {
		if f != except && f.parent == parent && f.name == name {
			return fmt.Errorf("folder %s exists: %w", f.path(), ErrInvalid)
		}
	}
	return nil
}

// RenameFolder renames a folder, by path or id. The file_location of everything below it changes, but
// no modified_at moves (inferred: facts.md 4.7) and no webhook is sent.
func (l *Library) RenameFolder(ref, name string) error {
	return l.editFolder(ref, func(f *folder) error {
		if err := l.catalog.checkFolderName(f.parent, name, f); err != nil {
			return err
		}
		f.name = name
		return nil
	})
}

// MoveFolder moves a folder below another one, or to the root ("/"). Like RenameFolder, it moves no
// modified_at and sends no webhook.
func (l *Library) MoveFolder(ref, newParent string) error {
	return l.editFolder(ref, func(f *folder) error {
		p, err := l.catalog.findFolder(newParent)
		if err != nil {
			return err
		}
		if p.within(f) {
			return fmt.Errorf("move %s below itself: %w", f.path(), ErrInvalid)
		}
		if err := l.catalog.checkFolderName(p, f.name, f); err != nil {
			return err
		}
		f.parent = p
		return nil
	})
}

func (l *Library) editFolder(ref string, do func(*folder) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.catalog.findFolder(ref)
	switch {
	case err != nil:
	case f == nil:
		err = fmt.Errorf("the root is no folder: %w", ErrInvalid)
	default:
		err = do(f)
	}
	if err != nil {
		return fmt.Errorf("edit folder: %w", err)
	}
	f.modified = l.now()
	return nil
}

// DeleteFolder deletes a folder with all folders and assets below it, and returns how many assets it
// deleted (unknown: facts.md 4.7). It sends asset_removed for each unless
// Behavior.SilentFolderDelete.
func (l *Library) DeleteFolder(ref string) (int, error) {
	deleted := 0
	err := l.editFolder(ref, func(top *folder) error {
		c := l.catalog
		for _, a := range slices.Collect(c.modified.all()) {
			if !a.folder.within(top) {
				continue
			}
			l.trash(a, l.behavior.SilentFolderDelete)
			a.folder = nil // a restored asset comes back at the root
			deleted++
		}
		c.folders = slices.DeleteFunc(c.folders, func(f *folder) bool { return f.within(top) })
		return nil
	})
	return deleted, err
}

// RenameLabel renames a label value or, with value "", the group, each by name or id. Every asset
// that carries the label shows the new name at once, but no modified_at moves (unknown: facts.md 4.7)
// and no webhook is sent (facts.md 7.3).
func (l *Library) RenameLabel(group, value, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, err := l.catalog.findGroup(group)
	if err != nil {
		return err
	}
	if value != "" {
		v, err := findNamed(g.values, value)
		if err != nil {
			return fmt.Errorf("label group %q: %w", g.name, err)
		}
		v.name = name
		return nil
	}
	g.name = name
	for _, d := range l.catalog.fields {
		if d.labels == g {
			d.name = name
		}
	}
	return nil
}
