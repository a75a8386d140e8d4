package cmpsim

import (
	"fmt"
	"slices"
	"strings"
)

// AddFolder makes a folder under parent (path or id, "/" for a root folder) and
// returns its id. No webhook tells of folders.
func (s *Simulator) AddFolder(parent, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.addFolder(parent, name)
	if err != nil {
		return "", err
	}
	return f.id, nil
}

func (s *Simulator) addFolder(parent, name string) (*folder, error) {
	p, err := s.lib.findFolder(parent)
	if err != nil {
		return nil, err
	}
	if err := s.lib.nameFree(p, name, nil); err != nil {
		return nil, err
	}
	r := newRand(s.opts.Seed, "added folder", uint64(s.lib.nextOrd))
	s.lib.nextOrd++
	now := s.now()
	f := &folder{id: hexID(r), name: name, parent: p, created: now, modified: now, tie: r.Uint32() >> 1}
	s.lib.folders = append(s.lib.folders, f)
	return f, nil
}

func (c *catalog) nameFree(parent *folder, name string, except *folder) error {
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

// RenameFolder renames a folder, by path or id. The file_location of everything
// below changes, its modified_at does not, and no webhook tells.
func (s *Simulator) RenameFolder(ref, name string) error {
	return s.editFolder(ref, func(f *folder) error {
		if err := s.lib.nameFree(f.parent, name, f); err != nil {
			return err
		}
		f.name = name
		return nil
	})
}

// MoveFolder puts a folder below another, or at the root ("/"); the same silence
// as RenameFolder.
func (s *Simulator) MoveFolder(ref, newParent string) error {
	return s.editFolder(ref, func(f *folder) error {
		p, err := s.lib.findFolder(newParent)
		if err != nil {
			return err
		}
		if p.within(f) {
			return fmt.Errorf("move %s below itself: %w", f.path(), ErrInvalid)
		}
		if err := s.lib.nameFree(p, f.name, f); err != nil {
			return err
		}
		f.parent = p
		return nil
	})
}

func (s *Simulator) editFolder(ref string, change func(*folder) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.lib.findFolder(ref)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("edit the root folder: %w", ErrInvalid)
	}
	if err := change(f); err != nil {
		return fmt.Errorf("edit folder: %w", err)
	}
	f.modified = s.now()
	return nil
}

// DeleteFolder deletes a folder with everything below it, assets too, and
// returns how many assets that were. What the real CMP does with them is not
// documented. It sends asset_removed for each unless
// Behavior.SilentFolderDelete.
func (s *Simulator) DeleteFolder(ref string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	top, err := s.lib.findFolder(ref)
	if err != nil {
		return 0, err
	}
	if top == nil {
		return 0, fmt.Errorf("delete the root folder: %w", ErrInvalid)
	}
	var gone []*asset
	for a := range s.lib.modified.span(0, s.lib.modified.n) {
		if a.folder.within(top) {
			gone = append(gone, a)
		}
	}
	for _, a := range gone {
		s.lib.trash(a)
		a.folder = nil // a restored asset comes back at the root
		if !s.behavior.SilentFolderDelete {
			s.hooks.publish(s.removedEvent(a))
		}
	}
	s.lib.folders = slices.DeleteFunc(s.lib.folders, func(f *folder) bool { return f.within(top) })
	return len(gone), nil
}

// RenameLabel renames a label value (or, with value "", the group) by name or
// id. Every asset that carries it shows the new name; modified_at stays.
func (s *Simulator) RenameLabel(group, value, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.lib.findGroup(group)
	if err != nil {
		return err
	}
	if value == "" {
		g.name = name
		for _, d := range s.lib.fields {
			if d.asksLabels == g {
				d.name = name
			}
		}
		return nil
	}
	v, ok := findNamed(g.values, value)
	if !ok {
		return fmt.Errorf("find value %q of label group %q: %w", value, g.name, ErrNotFound)
	}
	v.name = name
	return nil
}
