package s3

import (
	"context"
	"errors"
	"fmt"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// SetMetadata implements dam.Adapter: the server copies the object onto itself.
func (a *Adapter) SetMetadata(
	ctx context.Context, r dam.Remote, mark dam.Mark, title string, md dam.Metadata,
) (dam.Remote, error) {
	raw, err := sidecar.EncodeMetadata(title, md)
	if err != nil {
		return dam.Remote{}, classed(ctx, "set metadata of "+mark.AssetID, err)
	}
	return a.change(ctx, "set metadata of", mark, []string{placeOf(r)}, func(f found) (dam.Remote, error) {
		at, ok := f.intact()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		want := at.record
		want.Title, want.Metadata, want.MetadataHash, want.Generation = title, raw, mark.MetadataHash, mark.Generation
		return a.bring(ctx, at, at, want, f)
	})
}

// Move implements dam.Adapter: the server copies the object, then the old one is
// removed. The new one tells where it came from until then.
func (a *Adapter) Move(ctx context.Context, r dam.Remote, mark dam.Mark, p string) (dam.Remote, error) {
	if err := a.checkPath(p); err != nil {
		return dam.Remote{}, classed(ctx, "move "+mark.AssetID, err)
	}
	return a.change(ctx, "move", mark, []string{placeOf(r), p}, func(f found) (dam.Remote, error) {
		at, ok := f.intact()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		dst, ours, err := f.claim(mark.AssetID, p)
		if err == nil && !ours {
			err = fmt.Errorf("%s: %w", p, dam.ErrForeign)
		}
		if err != nil {
			return dam.Remote{}, err
		}
		want, err := a.load(ctx, at)
		if err != nil {
			return dam.Remote{}, err
		}
		want.Path, want.Archived, want.underID, want.Generation = p, false, false, mark.Generation
		return a.bring(ctx, at, dst, want, f)
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
	names := []string{placeOf(r), r.Path}
	if r.Path != "" {
		names = append(names, a.archivePlaces(mark.AssetID, r.Path)...)
	}
	return a.change(ctx, "retire", mark, names, func(f found) (dam.Remote, error) {
		now, err := a.retire(ctx, f, mark, mode)
		if err == nil && placeOf(now) != placeOf(r) {
			err = a.removeLoneSidecar(ctx, f, mark, placeOf(r))
		}
		return now, err
	})
}

func (a *Adapter) retire(ctx context.Context, f found, mark dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
	if mode == dam.RetireArchive && len(f.own) > 0 {
		return a.toArchive(ctx, f, mark)
	}
	return dam.Remote{State: dam.Absent}, a.leave(ctx, f.own)
}

// toArchive keeps what is there, also when somebody edited it.
func (a *Adapter) toArchive(ctx context.Context, f found, mark dam.Mark) (dam.Remote, error) {
	at := f.own[0]
	want, err := a.load(ctx, at)
	if err != nil && !errors.Is(err, dam.ErrNotFound) {
		return dam.Remote{}, err
	}
	if err != nil {
		want.MetadataHash = "" // it is described anew when it comes back
	}
	if !at.intact() {
		want.SHA256, want.Size = at.sha256, at.size
	}
	want.Generation = mark.Generation
	if at.record.Archived {
		return a.bring(ctx, at, at, want, f)
	}
	want.Archived = true
	for i, name := range a.archivePlaces(mark.AssetID, want.Path) {
		dst, ours, err := f.claim(mark.AssetID, name)
		var conflict *dam.Conflict
		switch {
		case errors.Is(err, dam.ErrForeign), errors.As(err, &conflict), err == nil && !ours:
			continue
		case err != nil:
			return dam.Remote{}, err
		}
		want.underID = i == 1
		return a.bring(ctx, at, dst, want, f)
	}
	return dam.Remote{}, fmt.Errorf("no room in the archive: %w", dam.ErrForeign)
}

// change does step on what there is of an asset, the generation checked. When
// somebody changes a place meanwhile, it is begun anew.
func (a *Adapter) change(
	ctx context.Context, doing string, mark dam.Mark, names []string, step func(found) (dam.Remote, error),
) (dam.Remote, error) {
	doing += " " + mark.AssetID
	if err := a.checkMark(mark); err != nil {
		return dam.Remote{}, classed(ctx, doing, err)
	}
	a.cleanWhenDue(ctx)
	var err error
	for range attempts {
		var f found
		if f, err = a.locate(ctx, mark.AssetID, names); err == nil {
			err = f.checkStale(mark.Generation)
		}
		var r dam.Remote
		if err == nil {
			r, err = step(f)
		}
		if !errors.Is(err, errChanged) {
			return r, classed(ctx, doing, err)
		}
	}
	return dam.Remote{}, classed(ctx, doing, fmt.Errorf("%w: %w", dam.ErrTemporary, err))
}
