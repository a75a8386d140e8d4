package filesystem

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"damsync/dam"
)

// found is what the tree holds of an asset.
type found struct {
	record     *record
	places     []place // the asset's own, whole ones first
	generation int64   // the highest seen
}

// whole returns the place with the whole file.
func (f found) whole() (place, bool) {
	if len(f.places) > 0 && f.places[0].whole() {
		return f.places[0], true
	}
	return place{}, false
}

// absent is the answer when nothing exists.
func (f found) absent() dam.Remote {
	return dam.Remote{State: dam.Absent, Mark: dam.OwnerMark{Generation: f.generation}}
}

// checkStale rejects a generation lower than the highest seen.
func (f found) checkStale(generation int64) error {
	if generation < f.generation {
		return fmt.Errorf("generation %d after %d: %w", generation, f.generation, dam.ErrStale)
	}
	return nil
}

// begin completes the asset's last step, locates the asset, and rejects a mark with
// a lower generation.
func begin(j journal, mark dam.OwnerMark, hints ...string) (found, error) {
	if err := j.complete(mark.AssetID); err != nil {
		return found{}, err
	}
	f, err := locate(j, mark.AssetID, hints...)
	if err != nil {
		return found{}, err
	}
	return f, f.checkStale(mark.Generation)
}

// locate looks where the record points, and at the hints, since the record may be
// lost.
func locate(j journal, assetID string, hints ...string) (found, error) {
	rec, err := j.readRecord(assetID)
	if err != nil {
		return found{}, err
	}
	f := found{record: rec}
	if rec != nil {
		f.generation = rec.Generation
	}
	for _, p := range candidates(rec, assetID, hints) {
		if isBlocked, err := blocked(j.tree, p); err != nil {
			return found{}, err
		} else if isBlocked {
			continue
		}
		at, err := look(j.tree, p)
		if err != nil {
			return found{}, err
		}
		if at.of(assetID) {
			f.places = append(f.places, at)
			f.generation = max(f.generation, at.sidecar.Generation)
		}
	}
	if err := addUnmarked(j.tree, &f); err != nil {
		return found{}, err
	}
	slices.SortStableFunc(f.places, func(a, b place) int { return rank(a) - rank(b) })
	return f, nil
}

func rank(p place) int {
	if p.whole() {
		return 0
	}
	return 1
}

// candidates returns the paths to look at, without repetitions. Hints come from
// outside and are checked.
func candidates(rec *record, assetID string, hints []string) []string {
	var all []string
	add := func(p string) {
		if p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if rec != nil {
		add(rec.Place)
		for _, o := range rec.Old {
			add(o.Path)
		}
	}
	for _, h := range hints {
		archived, isArchived := strings.CutPrefix(h, archiveDir+"/")
		switch {
		case isArchived && checkPath(archived) == nil:
			add(h)
		case checkPath(h) == nil:
			add(h)
			for _, p := range archivePlaces(assetID, h) {
				add(p)
			}
		}
	}
	return all
}

// addUnmarked adds the files that only the record knows, since a foreign sidecar
// appeared beside them between the rename and ours.
func addUnmarked(t *tree, f *found) error {
	rec := f.record
	if rec == nil {
		return nil
	}
	known := slices.Clone(rec.Old)
	how, err := rec.progress(t)
	if err == nil && how == published && rec.Place != "" {
		var at place
		at, err = look(t, rec.Place)
		known = append(known, oldPlace{Path: rec.Place, File: fingerprintOf(rec.Place, at.file), Unmarked: &rec.Sidecar})
	}
	for _, o := range known {
		if o.Unmarked == nil || err != nil {
			continue
		}
		var at place
		if at, err = look(t, o.Path); err == nil && !at.ours && o.File.matches(at.file) {
			at.sidecar, at.ours, at.unmarked = *o.Unmarked, true, true
			f.places = append(f.places, at)
		}
	}
	return err
}

// find returns the answer of Find.
func find(j journal, assetID string, hints []string) (dam.Remote, error) {
	f, err := locate(j, assetID, hints...)
	if err != nil {
		return dam.Remote{}, err
	}
	if f.record != nil {
		how, err := f.record.progress(j.tree)
		if err != nil {
			return dam.Remote{}, err
		}
		if how == published {
			return f.record.remote(), nil
		}
	}
	if len(f.places) > 0 {
		return f.places[0].remote(), nil
	}
	if len(hints) > 0 {
		if isForeign, err := foreign(j.tree, hints[0]); isForeign || err != nil {
			return dam.Remote{Path: hints[0], State: dam.Foreign}, err
		}
	}
	return f.absent(), nil
}

// openFile opens the file of the asset that r describes, wherever it is now.
func openFile(j journal, r dam.Remote) (*os.File, error) {
	f, err := locate(j, r.Mark.AssetID, r.Ref, r.Path)
	if err != nil {
		return nil, err
	}
	for _, at := range f.places {
		if at.regular() {
			return j.root.Open(at.path)
		}
	}
	return nil, fmt.Errorf("%w: the asset has no file", dam.ErrNotFound)
}
