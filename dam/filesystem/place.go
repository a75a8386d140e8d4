package filesystem

import (
	"fmt"
	"io/fs"
	"path"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// place is what is at one path under the root: a file, a sidecar, both, none.
type place struct {
	path    string
	file    fs.FileInfo      // nil when absent
	side    fs.FileInfo      // nil when absent
	sidecar sidecar.Document // when it is of our instance and target
	ours    bool

	// unmarked: the file is ours by its record; its sidecar could not be
	// written.
	unmarked bool
}

func (s *session) look(p string) (place, error) {
	at := place{path: p}
	var err error
	if at.file, err = s.stat(p); err != nil {
		return at, classed("look at "+p, err)
	}
	if at.side, err = s.stat(sidecarPath(p)); err != nil {
		return at, classed("look at sidecar of "+p, err)
	}
	if at.side == nil {
		return at, nil
	}
	raw, err := s.readState(sidecarPath(p))
	if err != nil {
		return at, classed("read sidecar of "+p, err)
	}
	if doc, err := sidecar.Decode(raw); err == nil { // anything else is foreign
		at.sidecar, at.ours = doc, doc.Instance == s.a.instance && doc.Target == s.a.target
	}
	return at, nil
}

func (p place) free() bool { return p.file == nil && p.side == nil }

func (p place) of(assetID string) bool { return p.ours && p.sidecar.AssetID == assetID }

// whole reports whether the file is what the sidecar says, by its size.
func (p place) whole() bool {
	return p.file != nil && p.file.Mode().IsRegular() && p.file.Size() == p.sidecar.Size
}

func (p place) remote() dam.Remote {
	r := dam.Remote{Ref: p.path, Path: p.sidecar.Path, State: dam.Incomplete, Mark: p.sidecar.Mark()}
	if p.file != nil {
		r.Token = fmt.Sprintf("%d-%d", p.file.Size(), p.file.ModTime().UnixNano())
	}
	if !p.sidecar.Archived {
		r.Path = p.path // where somebody moved both, too
	}
	if len(r.Ref) > maxRefBytes {
		r.Ref = ""
	}
	switch {
	case p.whole() && p.sidecar.Archived:
		r.State = dam.Archived
	case p.whole():
		r.State = dam.Present
	}
	return r
}

const maxRefBytes = 1024

// claim makes sure that assetID may have the path: free, or its own. An asset
// that crashed while leaving the place is helped out of it first.
func (s *session) claim(assetID, p string) (place, error) {
	if err := s.checkParents(p); err != nil {
		return place{}, err
	}
	at, err := s.look(p)
	if err == nil && at.ours && !at.of(assetID) {
		if err = s.settle(at.sidecar.AssetID); err == nil {
			at, err = s.look(p)
		}
	}
	switch {
	case err != nil:
		return at, err
	case at.free():
		return at, nil
	case at.ours && !at.of(assetID):
		return at, &dam.Conflict{Path: p, Holder: at.sidecar.AssetID}
	case !at.ours, at.file != nil && !at.file.Mode().IsRegular():
		return at, fmt.Errorf("%s: %w", p, dam.ErrForeign)
	}
	return at, nil
}

// checkParents looks for what is in the way of a free path: a file where a
// directory has to be, or a link that leads out of the root.
func (s *session) checkParents(p string) error {
	dir := path.Dir(p)
	if dir == "." {
		return nil
	}
	if info, err := s.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := s.checkParents(dir); err != nil {
		return err
	}
	at, err := s.look(dir)
	switch {
	case err != nil:
		return err
	case at.file == nil:
		return nil
	case at.ours:
		return &dam.Conflict{Path: dir, Holder: at.sidecar.AssetID}
	}
	return fmt.Errorf("%s is no directory under the root: %w", dir, dam.ErrForeign)
}
