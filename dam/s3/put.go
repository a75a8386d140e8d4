package s3

import (
	"context"
	"fmt"
	"io"

	"damsync/dam"
)

// putter puts an object whose bytes may be at the target already.
type putter struct {
	options *options
	objects *objects
	uploads *multiparts
	writer  *writer
}

// put is Adapter.Put. When the core knows of no object, the first attempt does not look: the
// condition of the write shows whether something is there.
func (p *putter) put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	doing := "put " + obj.Mark.AssetID
	want, err := p.check(obj)
	if err != nil {
		return dam.Remote{}, classed(ctx, doing, err)
	}
	look := current.State != dam.Absent && current.State != "" || !p.options.conditional
	return retryChanged(ctx, doing, func() (dam.Remote, error) {
		var f findings
		if look {
			var err error
			if f, err = p.objects.locate(ctx, want.AssetID, p.namesOf(obj, current)); err != nil {
				return dam.Remote{}, err
			}
		}
		look = true
		return p.putOnce(ctx, obj, want, current, f)
	})
}

// check returns an error for an object that the target will never accept.
func (p *putter) check(obj dam.Object) (record, error) {
	if err := p.objects.owner.checkMark(obj.Mark); err != nil {
		return record{}, err
	}
	if err := p.options.layout.checkPath(obj.Path); err != nil {
		return record{}, err
	}
	if obj.Open == nil {
		return record{}, fmt.Errorf("%w: no body", dam.ErrSource)
	}
	want, err := newRecord(obj)
	if err == nil {
		_, _, err = newHeaders(p.options, want, false)
	}
	return want, err
}

// namesOf returns where an asset may be that is to be at obj.Path.
func (p *putter) namesOf(obj dam.Object, current dam.Remote) []string {
	names := []string{obj.Path, nameOf(current)}
	if current.State == dam.Incomplete || current.State == dam.Archived {
		names = append(names, p.options.layout.archiveNames(obj.Mark.AssetID, current.Path)...)
		names = append(names, current.Path)
	}
	return names
}

// putOnce is one attempt to put obj, given what was found. Places that were not looked at are
// taken to be empty; the condition of the write decides whether they are.
func (p *putter) putOnce(ctx context.Context, obj dam.Object, want record, current dam.Remote, f findings) (dam.Remote, error) {
	if err := f.checkStale(want.Generation); err != nil {
		return dam.Remote{}, err
	}
	dst, free, err := f.claimPath(want.AssetID, obj.Path)
	if err != nil {
		return dam.Remote{}, err
	}
	if !free {
		return p.adoptForeign(ctx, obj, want, dst, f)
	}
	if at, ok := f.intact(); ok && current.State != dam.Incomplete && at.record.Holds(obj.Mark) {
		p.uploads.abandonSession(ctx, obj.Upload.Session)
		return p.reuseExisting(ctx, at, dst, want, f)
	}
	return p.writer.uploadTo(ctx, obj, want, dst, f)
}

// adoptForeign marks an unmarked object when obj allows it and the object has its bytes.
func (p *putter) adoptForeign(ctx context.Context, obj dam.Object, want record, dst place, f findings) (dam.Remote, error) {
	foreign := fmt.Errorf("%s: %w", dst.name, dam.ErrForeign)
	if !obj.Adopt || obj.Mark.Size >= 0 && obj.Mark.Size != dst.size {
		return dam.Remote{}, foreign
	}
	sealed := obj.Mark
	if sealed.SHA256 == "" {
		var err error
		if sealed, err = hashBody(ctx, obj); err != nil {
			return dam.Remote{}, err
		}
	}
	stored, err := p.objects.digest(ctx, dst)
	if err != nil {
		return dam.Remote{}, err
	}
	if stored != sealed.SHA256 {
		return dam.Remote{}, foreign
	}
	want.SHA256, want.Size = stored, dst.size
	return p.writer.copyTo(ctx, dst, dst, want, f)
}

// hashBody reads the body only for its digest.
func hashBody(ctx context.Context, obj dam.Object) (dam.OwnerMark, error) {
	source, err := obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return dam.OwnerMark{}, err
	}
	defer source.Close()
	if _, err := io.Copy(io.Discard, source); err != nil {
		return dam.OwnerMark{}, err
	}
	return source.Seal(obj.Mark)
}

// reuseExisting puts an object whose bytes are at the target already.
func (p *putter) reuseExisting(ctx context.Context, from, dst place, want record, f findings) (dam.Remote, error) {
	want.SHA256, want.Size = from.record.SHA256, from.size
	if want.SHA256 == "" {
		var err error
		if want.SHA256, err = p.objects.digest(ctx, from); err != nil {
			return dam.Remote{}, err
		}
	}
	return p.writer.ensureAt(ctx, from, dst, want, f)
}
