package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// place is what exists at one path under the root: a file, a sidecar, both or
// neither.
type place struct {
	path    string
	file    fs.FileInfo      // nil when absent
	side    fs.FileInfo      // nil when absent
	sidecar sidecar.Document // zero unless side is a sidecar
	ours    bool             // the sidecar is of our instance and target

	// unmarked says that the file is ours by its record alone: its sidecar could
	// not be written.
	unmarked bool
}

// look reads what exists at p.
func look(t *tree, p string) (place, error) {
	at := place{path: p}
	var err error
	if at.file, err = t.stat(p); err != nil {
		return at, classed("look at "+p, err)
	}
	if at.side, err = t.stat(sidecarPath(p)); err != nil {
		return at, classed("look at sidecar of "+p, err)
	}
	if at.side == nil {
		return at, nil
	}
	raw, err := readState(t, sidecarPath(p))
	if err != nil {
		return at, classed("read sidecar of "+p, err)
	}
	if doc, err := sidecar.Decode(raw); err == nil { // anything else is foreign
		at.sidecar, at.ours = doc, doc.Instance == t.instance && doc.Target == t.target
	}
	return at, nil
}

func (p place) free() bool { return p.file == nil && p.side == nil }

func (p place) of(assetID string) bool { return p.ours && p.sidecar.AssetID == assetID }

func (p place) regular() bool { return p.file != nil && p.file.Mode().IsRegular() }

// whole reports whether the file has the size that the sidecar says.
func (p place) whole() bool { return p.regular() && p.file.Size() == p.sidecar.Size }

// holds reports whether the file has the content that mark names.
func (p place) holds(mark dam.OwnerMark) bool {
	return p.whole() && p.sidecar.SHA256 != "" && p.sidecar.Holds(mark)
}

const maxRefBytes = 1024

func (p place) remote() dam.Remote {
	r := dam.Remote{Ref: p.path, Path: p.sidecar.Path, State: dam.Incomplete, Mark: p.sidecar.Mark()}
	if p.file != nil {
		r.Token = fmt.Sprintf("%d-%d", p.file.Size(), p.file.ModTime().UnixNano())
	}
	if !p.sidecar.Archived {
		r.Path = p.path // also when a person moved file and sidecar
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

// describe replaces the sidecar, unless it says the same.
func (p place) describe(t *tree, doc sidecar.Document) (dam.Remote, error) {
	if p.unmarked || !sameDocument(p.sidecar, doc) {
		if err := writeSidecar(t, p.path, doc); err != nil {
			return dam.Remote{}, err
		}
		p.sidecar = doc
	}
	return p.remote(), nil
}

// adoptable reports whether a foreign place is a file without a sidecar that has
// the content of mark, as far as mark knows it.
func (p place) adoptable(t *tree, mark dam.OwnerMark) (bool, error) {
	if p.side != nil || !p.regular() || mark.Size >= 0 && p.file.Size() != mark.Size {
		return false, nil
	}
	if mark.SHA256 == "" {
		return true, nil
	}
	sum, err := t.sha256(p.path)
	return sum == mark.SHA256, classed("hash "+p.path, err)
}

// checkParents returns an error when something is in the way of a free path: a file
// where a directory has to be, or a link that leads out of the root.
func checkParents(t *tree, p string) error {
	dir := path.Dir(p)
	if dir == "." {
		return nil
	}
	if info, err := t.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := checkParents(t, dir); err != nil {
		return err
	}
	at, err := look(t, dir)
	switch {
	case err != nil:
		return err
	case at.file == nil:
		return nil
	case at.ours:
		return &dam.Conflict{Path: dir, Holder: at.sidecar.AssetID}
	}
	return fmt.Errorf("%s is not a directory under the root: %w", dir, dam.ErrForeign)
}

// blocked reports whether checkParents finds something in the way, so that nothing
// of ours is at p.
func blocked(t *tree, p string) (bool, error) {
	err := checkParents(t, p)
	var conflict *dam.Conflict
	if errors.Is(err, dam.ErrForeign) || errors.As(err, &conflict) {
		return true, nil
	}
	return false, err
}

// foreign reports whether something foreign is at p or in the way of it.
func foreign(t *tree, p string) (bool, error) {
	if checkPath(p) != nil {
		return false, nil
	}
	if err := checkParents(t, p); err != nil {
		return errors.Is(err, dam.ErrForeign), nil
	}
	at, err := look(t, p)
	return err == nil && !at.free() && !at.ours, err
}
