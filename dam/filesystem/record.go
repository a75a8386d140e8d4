package filesystem

import (
	"errors"
	"io/fs"
	"path"
	"reflect"
	"time"

	"damsync/dam"
)

// record is an asset's last step, written before it. See the package comment.
type record struct {
	AssetID    string  `json:"asset_id"`
	Generation int64   `json:"generation"`
	Place      string  `json:"place"`   // where the step leaves the file; empty when it removes it
	From       *traces `json:"from"`    // what is renamed; nil when no file moves
	To         string  `json:"to"`      // the destination: Place, or in tmp
	Sidecar    sidecar `json:"sidecar"` // for Place
	Old        []old   `json:"old"`     // places to be left, From among them when it was one
}

// traces are what a rename keeps of a file.
type traces struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time"` // ns since 1970
}

// old is a place to be left. File is nil when only a sidecar was there, Unmarked
// is what the sidecar would be when only the record knows the file.
type old struct {
	Path     string   `json:"path"`
	File     *traces  `json:"file"`
	Unmarked *sidecar `json:"unmarked,omitempty"`
}

func (p place) old() old {
	o := old{Path: p.path, File: trace(p.path, p.file)}
	if p.unmarked {
		o.Unmarked = &p.sidecar
	}
	return o
}

func trace(p string, info fs.FileInfo) *traces {
	if info == nil {
		return nil
	}
	return &traces{Path: p, Size: info.Size(), ModTime: info.ModTime().UnixNano()}
}

func (t *traces) fit(info fs.FileInfo) bool {
	return t != nil && info != nil && info.Mode().IsRegular() &&
		info.Size() == t.Size && info.ModTime().UnixNano() == t.ModTime
}

// record reads an asset's record; nil when there is none.
func (s *session) record(assetID string) (*record, error) {
	var rec record
	_, ok, err := s.readJSON(s.a.recordPath(assetID), &rec)
	if err != nil {
		return nil, classed("read record", err)
	}
	if !ok || rec.AssetID != assetID {
		return nil, nil
	}
	return &rec, nil
}

// commit does a step whose arguments were checked under the lock. prev is the
// record it replaces.
func (s *session) commit(prev *record, rec record) error {
	p := s.a.recordPath(rec.AssetID)
	err := s.mkdirAll(path.Dir(p))
	if err == nil {
		err = s.writeJSON(p, rec)
	}
	err = classed("write record", err)
	if err == nil {
		err = s.publish(rec)
	}
	if err != nil {
		return errors.Join(err, s.takeBack(prev, rec))
	}
	return s.finish(rec)
}

// takeBack makes the record of a step whose rename failed claim nothing. What
// was to be renamed is still there and proves that the step never began.
func (s *session) takeBack(prev *record, rec record) error {
	now, err := s.record(rec.AssetID)
	if err != nil || now == nil || !reflect.DeepEqual(now.From, rec.From) {
		return err
	}
	if how, err := s.progress(rec); err != nil || how != notBegun {
		return err
	}
	return classed("take back record", s.rewrite(prev, rec.AssetID))
}

func (s *session) rewrite(rec *record, assetID string) error {
	if rec == nil {
		return s.remove(s.a.recordPath(assetID))
	}
	return s.writeJSON(s.a.recordPath(assetID), rec)
}

// publish renames the file to its destination.
func (s *session) publish(rec record) error {
	if rec.From == nil || rec.To == "" {
		return nil
	}
	if err := s.mkdirAll(path.Dir(rec.To)); err != nil {
		return classed("make directory", err)
	}
	rename := s.renameNew
	if there, err := s.look(rec.To); err != nil {
		return err
	} else if there.of(rec.AssetID) && there.file != nil {
		rename = s.rename
	}
	err := rename(rec.From.Path, rec.To)
	if errors.Is(err, fs.ErrExist) {
		err = errors.Join(dam.ErrForeign, err)
	}
	return classed("publish "+rec.To, err)
}

// finish does what is left of a step once the file is in its place. It may be
// repeated. A foreign sidecar in the way of ours keeps nothing else from being
// done, and is the error in the end.
func (s *session) finish(rec record) error {
	var unmarked error
	if rec.Place != "" {
		unmarked = s.writeSidecar(rec.Place, rec.Sidecar)
	}
	if unmarked != nil && !errors.Is(unmarked, dam.ErrForeign) {
		return unmarked
	}
	for _, o := range rec.Old {
		if err := s.leave(rec, o); err != nil {
			return classed("leave "+o.Path, err)
		}
	}
	if rec.Place == "" && rec.To != "" {
		if err := s.remove(rec.To); err != nil {
			return classed("remove file", err)
		}
	}
	if err := s.forgetOld(rec); err != nil {
		return err
	}
	return unmarked
}

// forgetOld ends the claim on the old places, so that what comes there later is
// not mistaken for a rest.
func (s *session) forgetOld(rec record) error {
	if len(rec.Old) == 0 {
		return nil
	}
	rec.Old = nil
	return classed("write record", s.rewrite(&rec, rec.AssetID))
}

// leave removes what the asset has in an old place, and nothing that came
// there since.
func (s *session) leave(rec record, o old) error {
	at, err := s.look(o.Path)
	if err != nil || at.free() {
		return err
	}
	var now place
	if rec.To != "" {
		if now, err = s.look(rec.To); err != nil {
			return err
		}
	}
	another := at.ours && !at.of(rec.AssetID)
	if o.File.fit(at.file) && !another && !sameEntry(at.file, now.file) {
		if err := s.remove(o.Path); err != nil {
			return err
		}
	}
	if at.of(rec.AssetID) && !sameEntry(at.side, now.side) {
		if err := s.remove(sidecarPath(o.Path)); err != nil {
			return err
		}
	}
	if err := s.syncDir(path.Dir(o.Path)); err != nil {
		return err
	}
	return s.prune(path.Dir(o.Path))
}

// progress says how far a recorded step came.
type progress int

const (
	notBegun  progress = iota // the file is where it was
	published                 // finish has to be called
	settled                   // nothing left to do
)

func (s *session) progress(rec record) (progress, error) {
	done, err := s.written(rec)
	if err == nil && !done {
		done, err = s.renamed(rec)
		if err == nil && !done {
			return notBegun, nil
		}
		if err == nil && rec.Place != "" {
			return published, nil
		}
	}
	if err != nil {
		return notBegun, err
	}
	if len(rec.Old) > 0 {
		return published, nil
	}
	return settled, nil
}

// written reports whether the sidecar is that of the step or a later one.
func (s *session) written(rec record) (bool, error) {
	if rec.Place == "" {
		return false, nil
	}
	at, err := s.look(rec.Place)
	if err != nil || !at.of(rec.AssetID) {
		return false, err
	}
	c := at.sidecar
	same := c.Generation == rec.Generation && c.SHA256 == rec.Sidecar.SHA256 && c.Archived == rec.Sidecar.Archived
	return same || c.Generation > rec.Generation, nil
}

// renamed reports whether the file has left its source for its destination.
func (s *session) renamed(rec record) (bool, error) {
	if rec.From == nil {
		return true, nil
	}
	from, err := s.stat(rec.From.Path)
	if err != nil {
		return false, classed("look at source", err)
	}
	to, err := s.look(rec.To)
	if err != nil {
		return false, err
	}
	if rec.From.fit(from) && !hardLinked(from, to.file) && !sameEntry(from, to.file) {
		return false, nil
	}
	if to.ours && !to.of(rec.AssetID) {
		return false, nil // whatever its bytes are
	}
	if rec.Place == "" || rec.From.fit(to.file) {
		return true, nil
	}
	return s.roughlyFits(rec, to)
}

// coarseTime is the resolution of the modification times of file systems that
// round them some time after the file was written.
const coarseTime = 2 * time.Second

// roughlyFits lets SHA-256 decide for a file that only the rounding of its
// modification time may tell from the recorded one.
func (s *session) roughlyFits(rec record, at place) (bool, error) {
	if at.file == nil || !at.file.Mode().IsRegular() || at.file.Size() != rec.From.Size {
		return false, nil
	}
	if at.file.ModTime().Sub(time.Unix(0, rec.From.ModTime)).Abs() > coarseTime {
		return false, nil
	}
	sum, err := s.sha256(at.path)
	return sum == rec.Sidecar.SHA256, classed("hash "+at.path, err)
}

// settle finishes a step that a crash cut short, or lets it be when it never
// began. When a foreign sidecar came beside the file meanwhile, the step stays
// open: locate knows the file by its record.
func (s *session) settle(assetID string) error {
	rec, err := s.record(assetID)
	if rec == nil || err != nil {
		return err
	}
	how, err := s.progress(*rec)
	if err != nil || how != published {
		return err
	}
	if err := s.finish(*rec); !errors.Is(err, dam.ErrForeign) {
		return err
	}
	return nil
}
