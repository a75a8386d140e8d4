package filesystem

import (
	"io/fs"
	"time"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// record is an asset's last step, written before the step begins. See the package
// comment.
type record struct {
	AssetID    string           `json:"asset_id"`
	Generation int64            `json:"generation"`
	Place      string           `json:"place"`   // where the step leaves the file; empty when it removes it
	From       *fingerprint     `json:"from"`    // of the file to rename; nil when no file moves
	To         string           `json:"to"`      // where it is renamed: Place, or in tmp
	Sidecar    sidecar.Document `json:"sidecar"` // for Place
	Old        []oldPlace       `json:"old"`     // places to clear; From's is among them, unless it is in tmp
}

// fingerprint is what a rename keeps of a file.
type fingerprint struct {
	Path    string `json:"path"` // before the rename
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time"` // ns since 1970
}

func fingerprintOf(p string, info fs.FileInfo) *fingerprint {
	if info == nil {
		return nil
	}
	return &fingerprint{Path: p, Size: info.Size(), ModTime: info.ModTime().UnixNano()}
}

func (f *fingerprint) matches(info fs.FileInfo) bool {
	return f != nil && info != nil && info.Mode().IsRegular() &&
		info.Size() == f.Size && info.ModTime().UnixNano() == f.ModTime
}

// oldPlace is a place that a step clears. File is nil when there is only a sidecar.
// Unmarked is the sidecar that a file known by its record alone would have.
type oldPlace struct {
	Path     string            `json:"path"`
	File     *fingerprint      `json:"file"`
	Unmarked *sidecar.Document `json:"unmarked,omitempty"`
}

func oldPlaceOf(p place) oldPlace {
	o := oldPlace{Path: p.path, File: fingerprintOf(p.path, p.file)}
	if p.unmarked {
		o.Unmarked = &p.sidecar
	}
	return o
}

// remote is the state of the object while the step is being completed.
func (r *record) remote() dam.Remote {
	if r.Place == "" {
		return dam.Remote{Path: r.Sidecar.Path, State: dam.Incomplete, Mark: dam.OwnerMark{Generation: r.Generation}}
	}
	at := place{path: r.Place, sidecar: r.Sidecar}
	return at.remote()
}

// stage says how far a recorded step got.
type stage int

const (
	notBegun  stage = iota // the file is where it was
	published              // the file is at its destination; the rest is to be completed
	completed              // nothing is left to do
)

func (r *record) progress(t *tree) (stage, error) {
	done, err := r.described(t)
	if err == nil && !done {
		done, err = r.renamed(t)
		if err == nil && !done {
			return notBegun, nil
		}
		if err == nil && r.Place != "" {
			return published, nil
		}
	}
	if err != nil {
		return notBegun, err
	}
	if len(r.Old) > 0 {
		return published, nil
	}
	return completed, nil
}

// described reports whether the sidecar at Place is that of the step or of a later
// one.
func (r *record) described(t *tree) (bool, error) {
	if r.Place == "" {
		return false, nil
	}
	at, err := look(t, r.Place)
	if err != nil || !at.of(r.AssetID) {
		return false, err
	}
	c := at.sidecar
	same := c.Generation == r.Generation && c.SHA256 == r.Sidecar.SHA256 && c.Archived == r.Sidecar.Archived
	return same || c.Generation > r.Generation, nil
}

// renamed reports whether the file has left its source for its destination.
func (r *record) renamed(t *tree) (bool, error) {
	if r.From == nil {
		return true, nil
	}
	from, err := t.stat(r.From.Path)
	if err != nil {
		return false, classed("look at source", err)
	}
	to, err := look(t, r.To)
	if err != nil {
		return false, err
	}
	if r.From.matches(from) && !hardLinked(from, to.file) && !sameEntry(from, to.file) {
		return false, nil
	}
	if to.ours && !to.of(r.AssetID) {
		return false, nil // even with the same bytes
	}
	if r.Place == "" || r.From.matches(to.file) {
		return true, nil
	}
	return r.roughlyMatches(t, to)
}

// coarseTime is the resolution of file systems that round a modification time some
// time after the file was written.
const coarseTime = 2 * time.Second

// roughlyMatches compares SHA-256 when only a rounded modification time may
// distinguish the file from the recorded one.
func (r *record) roughlyMatches(t *tree, at place) (bool, error) {
	if !at.regular() || at.file.Size() != r.From.Size {
		return false, nil
	}
	if at.file.ModTime().Sub(time.Unix(0, r.From.ModTime)).Abs() > coarseTime {
		return false, nil
	}
	sum, err := t.sha256(at.path)
	return sum == r.Sidecar.SHA256, classed("hash "+at.path, err)
}
