package filesystem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// SetMetadata implements dam.Adapter: the sidecar is replaced by one rename.
func (a *Adapter) SetMetadata(
	ctx context.Context, r dam.Remote, mark dam.Mark, title string, md dam.Metadata,
) (dam.Remote, error) {
	raw, err := sidecar.EncodeMetadata(title, md)
	if err != nil {
		return dam.Remote{}, classed("set metadata of "+mark.AssetID, err)
	}
	return a.change(ctx, "set metadata of", r, mark, func(s *session, f found) (dam.Remote, error) {
		at, ok := f.whole()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		c := at.sidecar
		c.Title, c.Metadata, c.MetadataHash, c.Generation = title, raw, mark.MetadataHash, mark.Generation
		return s.describe(at, c)
	})
}

// Move implements dam.Adapter.
func (a *Adapter) Move(ctx context.Context, r dam.Remote, mark dam.Mark, p string) (dam.Remote, error) {
	if err := checkPath(p); err != nil {
		return dam.Remote{}, classed("move "+mark.AssetID, err)
	}
	return a.change(ctx, "move", r, mark, func(s *session, f found) (dam.Remote, error) {
		at, ok := f.whole()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		c := at.sidecar
		c.Path, c.Archived, c.Generation = p, false, mark.Generation
		if at.path == p && len(f.places) == 1 {
			return s.describe(at, c)
		}
		if _, err := s.claim(mark.AssetID, p); err != nil {
			return dam.Remote{}, err
		}
		return s.transfer(f, trace(at.path, at.file), c, p)
	})
}

// Retire implements dam.Adapter. Something foreign where the object was is left
// alone, and the object counts as absent.
func (a *Adapter) Retire(
	ctx context.Context, r dam.Remote, mark dam.Mark, mode dam.RetireMode,
) (dam.Remote, error) {
	if mode != dam.RetireDelete && mode != dam.RetireArchive {
		return dam.Remote{}, fmt.Errorf("retire %s: %w: no such mode: %q", mark.AssetID, dam.ErrInvalid, mode)
	}
	return a.change(ctx, "retire", r, mark, func(s *session, f found) (dam.Remote, error) {
		if mode == dam.RetireArchive && len(f.places) > 0 && regular(f.places[0]) {
			return s.archive(f, f.places[0], mark)
		}
		return s.erase(f, mark)
	})
}

func regular(p place) bool { return p.file != nil && p.file.Mode().IsRegular() }

// change does step on what there is of an asset, under the lock, its last step
// settled and the generation checked.
func (a *Adapter) change(
	ctx context.Context, doing string, r dam.Remote, mark dam.Mark,
	step func(*session, found) (dam.Remote, error),
) (dam.Remote, error) {
	doing += " " + mark.AssetID
	if err := a.checkMark(mark); err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	s, err := a.write(ctx)
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	defer s.close()
	if err := s.settle(mark.AssetID); err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	f, err := s.locate(mark.AssetID, r.Ref, r.Path)
	if err == nil {
		err = f.checkStale(mark.Generation)
	}
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	now, err := step(s, f)
	return now, classed(doing, err)
}

// archive keeps what is there, also when somebody edited it.
func (s *session) archive(f found, at place, mark dam.Mark) (dam.Remote, error) {
	c := at.sidecar
	c.Archived, c.Generation = true, mark.Generation
	if !at.whole() {
		sum, err := s.sha256(at.path)
		if err != nil {
			return dam.Remote{}, classed("hash edited file", err)
		}
		c.SHA256, c.Size = sum, at.file.Size()
	}
	if at.sidecar.Archived && len(f.places) == 1 {
		return s.describe(at, c)
	}
	var err error
	for _, to := range archivePlaces(c.AssetID, c.Path) {
		if _, err = s.claim(c.AssetID, to); err == nil {
			return s.transfer(f, trace(at.path, at.file), c, to)
		}
		var conflict *dam.Conflict
		if !errors.Is(err, dam.ErrForeign) && !errors.As(err, &conflict) {
			break
		}
	}
	return dam.Remote{}, classed("find room in the archive", err)
}

// erase removes all places of an asset and keeps a record of the generation.
func (s *session) erase(f found, mark dam.Mark) (dam.Remote, error) {
	f.generation = mark.Generation
	if len(f.places) == 0 && f.record != nil && f.record.Place == "" && f.record.Generation == mark.Generation {
		return f.absent(), nil
	}
	rec := record{AssetID: mark.AssetID, Generation: mark.Generation}
	if len(f.places) > 0 {
		rec.Sidecar = f.places[0].sidecar
	}
	for i, at := range f.places {
		if i == 0 && regular(at) {
			rec.From, rec.To = trace(at.path, at.file), path.Join(s.temp, "gone-"+rand.Text())
		}
		rec.Old = append(rec.Old, at.old())
	}
	if err := s.commit(f.record, rec); err != nil {
		return dam.Remote{}, err
	}
	return f.absent(), nil
}
