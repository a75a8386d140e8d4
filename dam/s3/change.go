package s3

import (
	"context"
	"errors"
	"fmt"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// changer changes objects without sending their bytes.
type changer struct {
	options  *options
	objects  *objects
	sidecars *sidecars
	writer   *writer
}

// change runs step on what is found of an asset at the names, after comparing the generation.
func (c *changer) change(
	ctx context.Context, doing string, mark dam.OwnerMark, names []string, step func(findings) (dam.Remote, error),
) (dam.Remote, error) {
	doing += " " + mark.AssetID
	if err := c.objects.owner.checkMark(mark); err != nil {
		return dam.Remote{}, classed(ctx, doing, err)
	}
	return retryChanged(ctx, doing, func() (dam.Remote, error) {
		f, err := c.objects.locate(ctx, mark.AssetID, names)
		if err == nil {
			err = f.checkStale(mark.Generation)
		}
		if err != nil {
			return dam.Remote{}, err
		}
		return step(f)
	})
}

// setMetadata is Adapter.SetMetadata: the server copies the object onto itself.
func (c *changer) setMetadata(
	ctx context.Context, r dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata,
) (dam.Remote, error) {
	const doing = "set metadata of"
	raw, err := sidecar.EncodeMetadata(title, md)
	if err != nil {
		return dam.Remote{}, classed(ctx, doing+" "+mark.AssetID, err)
	}
	return c.change(ctx, doing, mark, []string{nameOf(r)}, func(f findings) (dam.Remote, error) {
		at, ok := f.intact()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		want := at.record
		want.Title, want.Metadata, want.MetadataHash, want.Generation = title, raw, mark.MetadataHash, mark.Generation
		return c.writer.ensureAt(ctx, at, at, want, f)
	})
}

// move is Adapter.Move: the server copies the object, which names its origin from then on, and
// then the origin is removed.
func (c *changer) move(ctx context.Context, r dam.Remote, mark dam.OwnerMark, path string) (dam.Remote, error) {
	if err := c.options.layout.checkPath(path); err != nil {
		return dam.Remote{}, classed(ctx, "move "+mark.AssetID, err)
	}
	return c.change(ctx, "move", mark, []string{nameOf(r), path}, func(f findings) (dam.Remote, error) {
		at, ok := f.intact()
		if !ok {
			return dam.Remote{}, dam.ErrNotFound
		}
		dst, free, err := f.claimPath(mark.AssetID, path)
		if err == nil && !free {
			err = fmt.Errorf("%s: %w", path, dam.ErrForeign)
		}
		if err != nil {
			return dam.Remote{}, err
		}
		want, err := c.sidecars.load(ctx, at)
		if err != nil {
			return dam.Remote{}, err
		}
		want.Path, want.Archived, want.underID, want.Generation = path, false, false, mark.Generation
		return c.writer.ensureAt(ctx, at, dst, want, f)
	})
}

// retire is Adapter.Retire.
func (c *changer) retire(ctx context.Context, r dam.Remote, mark dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
	if mode != dam.RetireDelete && mode != dam.RetireArchive {
		return dam.Remote{}, fmt.Errorf("retire %s: %w: no such mode: %q", mark.AssetID, dam.ErrInvalid, mode)
	}
	name := nameOf(r)
	names := []string{name, r.Path}
	if r.Path != "" {
		names = append(names, c.options.layout.archiveNames(mark.AssetID, r.Path)...)
	}
	return c.change(ctx, "retire", mark, names, func(f findings) (now dam.Remote, err error) {
		if mode == dam.RetireArchive && len(f.own) > 0 {
			now, err = c.archive(ctx, f, mark)
		} else {
			now, err = dam.Remote{State: dam.Absent}, c.writer.removeOthers(ctx, f, "")
		}
		if err == nil && nameOf(now) != name {
			err = c.sidecars.removeLone(ctx, f, mark, name)
		}
		return now, err
	})
}

// archive moves the best object to the archive, even if another program has edited it.
func (c *changer) archive(ctx context.Context, f findings, mark dam.OwnerMark) (dam.Remote, error) {
	at := f.own[0]
	want, err := c.sidecars.load(ctx, at)
	if err != nil && !errors.Is(err, dam.ErrNotFound) {
		return dam.Remote{}, err
	}
	if err != nil {
		want.MetadataHash = "" // the core writes the metadata again when the object comes back
	}
	if !at.intact() {
		want.SHA256, want.Size = at.sha256, at.size
	}
	want.Generation = mark.Generation
	if at.record.Archived {
		return c.writer.ensureAt(ctx, at, at, want, f)
	}
	want.Archived = true
	for i, name := range c.options.layout.archiveNames(mark.AssetID, want.Path) {
		dst, free, err := f.claimPath(mark.AssetID, name)
		var conflict *dam.Conflict
		switch {
		case errors.Is(err, dam.ErrForeign), errors.As(err, &conflict), err == nil && !free:
			continue
		case err != nil:
			return dam.Remote{}, err
		}
		want.underID = i == 1
		return c.writer.ensureAt(ctx, at, dst, want, f)
	}
	return dam.Remote{}, fmt.Errorf("no room in the archive: %w", dam.ErrForeign)
}
