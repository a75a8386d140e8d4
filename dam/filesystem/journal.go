package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// journal does whole steps: it records a step, carries it out, and completes one
// that a crash interrupted. Its methods that write need the lock.
type journal struct{ *tree }

// readRecord reads an asset's record; nil when there is none.
func (j journal) readRecord(assetID string) (*record, error) {
	var rec record
	ok, err := readJSON(j.tree, j.home.recordPath(assetID), &rec)
	if err != nil {
		return nil, classed("read record", err)
	}
	if !ok || rec.AssetID != assetID {
		return nil, nil
	}
	return &rec, nil
}

// replaceRecord writes rec, or removes the record when rec is nil.
func (j journal) replaceRecord(assetID string, rec *record) error {
	if rec == nil {
		return j.remove(j.home.recordPath(assetID))
	}
	return writeJSON(j.tree, j.home.recordPath(assetID), rec)
}

// placeAt renames the file at from, when there is one, to its new place, describes it
// there with doc, and clears all other places of the asset.
func (j journal) placeAt(f found, from *fingerprint, doc sidecar.Document, to string) (dam.Remote, error) {
	rec := record{AssetID: doc.AssetID, Generation: doc.Generation, Place: to, From: from, To: to, Sidecar: doc}
	for _, at := range f.places {
		if at.path != to {
			rec.Old = append(rec.Old, oldPlaceOf(at))
		}
	}
	if err := j.commit(f.record, rec); err != nil {
		return dam.Remote{}, err
	}
	at, err := look(j.tree, to)
	return at.remote(), err
}

// commit records and does a step that was checked under the lock. prev is the
// record that it replaces.
func (j journal) commit(prev *record, rec record) error {
	err := j.mkdirAll(path.Dir(j.home.recordPath(rec.AssetID)))
	if err == nil {
		err = j.replaceRecord(rec.AssetID, &rec)
	}
	err = classed("write record", err)
	if err == nil {
		err = j.publish(rec)
	}
	if err != nil {
		return errors.Join(err, j.revert(prev, rec))
	}
	return j.finish(rec)
}

// revert restores prev after the rename of rec has failed, unless the rename took
// place all the same.
func (j journal) revert(prev *record, rec record) error {
	now, err := j.readRecord(rec.AssetID)
	if err != nil || now == nil || !reflect.DeepEqual(now.From, rec.From) {
		return err
	}
	if how, err := rec.progress(j.tree); err != nil || how != notBegun {
		return err
	}
	return classed("revert record", j.replaceRecord(rec.AssetID, prev))
}

// publish renames the file to its destination.
func (j journal) publish(rec record) error {
	if rec.From == nil || rec.To == "" {
		return nil
	}
	if err := j.mkdirAll(path.Dir(rec.To)); err != nil {
		return classed("create directory", err)
	}
	rename := j.renameNew
	if there, err := look(j.tree, rec.To); err != nil {
		return err
	} else if there.of(rec.AssetID) && there.file != nil {
		rename = j.rename
	}
	err := rename(rec.From.Path, rec.To)
	if errors.Is(err, fs.ErrExist) {
		err = errors.Join(dam.ErrForeign, err)
	}
	return classed("publish "+rec.To, err)
}

// finish does what is left of a step once the file is at its destination. It may be
// repeated. A foreign sidecar in the way of ours does not stop it, and is the error
// in the end.
func (j journal) finish(rec record) error {
	var unmarked error
	if rec.Place != "" {
		unmarked = writeSidecar(j.tree, rec.Place, rec.Sidecar)
	}
	if unmarked != nil && !errors.Is(unmarked, dam.ErrForeign) {
		return unmarked
	}
	for _, o := range rec.Old {
		if err := j.clear(rec, o); err != nil {
			return classed("clear "+o.Path, err)
		}
	}
	if rec.Place == "" && rec.To != "" {
		if err := j.remove(rec.To); err != nil {
			return classed("remove file", err)
		}
	}
	if len(rec.Old) > 0 { // from now on a file that appears there is not ours
		rec.Old = nil
		if err := j.replaceRecord(rec.AssetID, &rec); err != nil {
			return classed("write record", err)
		}
	}
	return unmarked
}

// clear removes what the asset has in an old place, and nothing that appeared there
// since.
func (j journal) clear(rec record, o oldPlace) error {
	at, err := look(j.tree, o.Path)
	if err != nil || at.free() {
		return err
	}
	var now place
	if rec.To != "" {
		if now, err = look(j.tree, rec.To); err != nil {
			return err
		}
	}
	another := at.ours && !at.of(rec.AssetID)
	if o.File.matches(at.file) && !another && !sameEntry(at.file, now.file) {
		if err := j.remove(o.Path); err != nil {
			return err
		}
	}
	if at.of(rec.AssetID) && !sameEntry(at.side, now.side) {
		if err := j.remove(sidecarPath(o.Path)); err != nil {
			return err
		}
	}
	if err := j.syncDir(path.Dir(o.Path)); err != nil {
		return err
	}
	return j.prune(path.Dir(o.Path))
}

// complete finishes an asset's last step when a crash interrupted it after it had
// begun. A step whose sidecar has a foreign one in its way stays open: locate knows
// the file by its record.
func (j journal) complete(assetID string) error {
	rec, err := j.readRecord(assetID)
	if rec == nil || err != nil {
		return err
	}
	how, err := rec.progress(j.tree)
	if err != nil || how != published {
		return err
	}
	if err := j.finish(*rec); !errors.Is(err, dam.ErrForeign) {
		return err
	}
	return nil
}

// claimPath returns what is at p when assetID may have it: nothing, or its own.
// First it completes the step of another asset that crashed while leaving p.
func (j journal) claimPath(assetID, p string) (place, error) {
	if err := checkParents(j.tree, p); err != nil {
		return place{}, err
	}
	at, err := look(j.tree, p)
	if err == nil && at.ours && !at.of(assetID) {
		if err = j.complete(at.sidecar.AssetID); err == nil {
			at, err = look(j.tree, p)
		}
	}
	switch {
	case err != nil:
		return at, err
	case at.free():
		return at, nil
	case at.ours && !at.of(assetID):
		return at, &dam.Conflict{Path: p, Holder: at.sidecar.AssetID}
	case !at.ours, at.file != nil && !at.regular():
		return at, fmt.Errorf("%s: %w", p, dam.ErrForeign)
	}
	return at, nil
}
