package filesystem

import (
	"errors"
	"io/fs"
	"path"
	"reflect"

	"damsync/dam"
)

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
