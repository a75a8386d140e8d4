package filesystem

import (
	"errors"
	"time"

	"damsync/dam"
)

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
