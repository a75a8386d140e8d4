package filesystem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"damsync/dam"
)

// found is what is known of an asset under the root.
type found struct {
	record     *record
	places     []place // the asset's own; the whole ones first
	generation int64   // highest seen
}

// whole gives the place with the whole file.
func (f found) whole() (place, bool) {
	if len(f.places) > 0 && f.places[0].whole() {
		return f.places[0], true
	}
	return place{}, false
}

// absent is the answer when nothing is there.
func (f found) absent() dam.Remote {
	return dam.Remote{State: dam.Absent, Mark: dam.Mark{Generation: f.generation}}
}

// checkStale refuses a generation lower than what is there.
func (f found) checkStale(generation int64) error {
	if generation < f.generation {
		return fmt.Errorf("generation %d after %d: %w", generation, f.generation, dam.ErrStale)
	}
	return nil
}

// locate looks where the record says, and then where the hints say, since the
// record may be lost.
func (s *session) locate(assetID string, hints ...string) (found, error) {
	rec, err := s.record(assetID)
	if err != nil {
		return found{}, err
	}
	f := found{record: rec}
	if rec != nil {
		f.generation = rec.Generation
	}
	for _, p := range candidates(rec, assetID, hints) {
		if blocked, err := s.blocked(p); blocked || err != nil {
			if err != nil {
				return found{}, err
			}
			continue
		}
		at, err := s.look(p)
		if err != nil {
			return found{}, err
		}
		if at.of(assetID) {
			f.places = append(f.places, at)
			f.generation = max(f.generation, at.sidecar.Generation)
		}
	}
	if err := s.addUnmarked(&f); err != nil {
		return found{}, err
	}
	slices.SortStableFunc(f.places, func(a, b place) int { return rank(a) - rank(b) })
	return f, nil
}

// addUnmarked adds files that only the record knows: a foreign sidecar came
// beside them between the rename and ours.
func (s *session) addUnmarked(f *found) error {
	rec := f.record
	if rec == nil {
		return nil
	}
	known := slices.Clone(rec.Old)
	how, err := s.progress(*rec)
	if err == nil && how == published && rec.Place != "" {
		var at place
		at, err = s.look(rec.Place)
		known = append(known, old{Path: rec.Place, File: trace(rec.Place, at.file), Unmarked: &rec.Sidecar})
	}
	for _, o := range known {
		if o.Unmarked == nil || err != nil {
			continue
		}
		var at place
		if at, err = s.look(o.Path); err == nil && !at.ours && o.File.fit(at.file) {
			at.sidecar, at.ours, at.unmarked = *o.Unmarked, true, true
			f.places = append(f.places, at)
		}
	}
	return err
}

func rank(p place) int {
	if p.whole() {
		return 0
	}
	return 1
}

// candidates are the paths to look at, without repetitions. Hints come from
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

// Find implements dam.Adapter. The record finds an asset without hints; they
// are needed only when the adapter's own directory was lost.
func (a *Adapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if key.Instance != a.instance || key.AssetID == "" {
		return dam.Remote{}, fmt.Errorf("find %q of instance %q: %w: not a key of this adapter",
			key.AssetID, key.Instance, dam.ErrInvalid)
	}
	s, err := a.read(ctx)
	if err != nil {
		return dam.Remote{}, classed("find "+key.AssetID, err)
	}
	if s == nil {
		return dam.Remote{State: dam.Absent}, nil
	}
	defer s.close()
	r, err := s.find(key.AssetID, hints)
	return r, classed("find "+key.AssetID, err)
}

func (s *session) find(assetID string, hints []string) (dam.Remote, error) {
	f, err := s.locate(assetID, hints...)
	if err != nil {
		return dam.Remote{}, err
	}
	if f.record != nil {
		how, err := s.progress(*f.record)
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
		if foreign, err := s.foreign(hints[0]); foreign || err != nil {
			return dam.Remote{Path: hints[0], State: dam.Foreign}, err
		}
	}
	return f.absent(), nil
}

// remote is what is there while a step is being finished.
func (r *record) remote() dam.Remote {
	if r.Place == "" {
		return dam.Remote{Path: r.Sidecar.Path, State: dam.Incomplete, Mark: dam.Mark{Generation: r.Generation}}
	}
	at := place{path: r.Place, sidecar: r.Sidecar}
	return at.remote()
}

// blocked reports whether something that is not a directory under the root is
// where a parent of p has to be, so that nothing of ours is at p.
func (s *session) blocked(p string) (bool, error) {
	err := s.checkParents(p)
	var conflict *dam.Conflict
	if errors.Is(err, dam.ErrForeign) || errors.As(err, &conflict) {
		return true, nil
	}
	return false, err
}

func (s *session) foreign(p string) (bool, error) {
	if checkPath(p) != nil {
		return false, nil
	}
	if err := s.checkParents(p); err != nil {
		return errors.Is(err, dam.ErrForeign), nil
	}
	at, err := s.look(p)
	return err == nil && !at.free() && !at.ours, err
}
