package s3

import (
	"context"
	"errors"
	"fmt"

	"damsync/dam"
)

// writer makes one name hold an asset, and takes the asset away from all others.
type writer struct {
	options  *options
	objects  *objects
	sidecars *sidecars
	copier   *copier
	uploader *uploader
}

// attempts limits how often a write starts again because another program changed the object.
const attempts = 3

// retryChanged repeats step while it returns errChanged.
func retryChanged(ctx context.Context, doing string, step func() (dam.Remote, error)) (dam.Remote, error) {
	var err error
	for range attempts {
		var r dam.Remote
		if r, err = step(); !errors.Is(err, errChanged) {
			return r, classed(ctx, doing, err)
		}
	}
	return dam.Remote{}, classed(ctx, doing, fmt.Errorf("%w: %w", dam.ErrTemporary, err))
}

// ensureAt makes dst hold the bytes of from as want describes them. When they are there already,
// it only finishes an interrupted write.
func (w *writer) ensureAt(ctx context.Context, from, dst place, want record, f findings) (dam.Remote, error) {
	want.from = f.origin(dst.name)
	switch {
	case from.name != dst.name, !from.record.says(want):
		return w.copyTo(ctx, from, dst, want, f)
	case from.described():
		return from.remote(), w.removeOthers(ctx, f, dst.name)
	}
	want.overflow = from.record.overflow
	from.record = want
	return w.finish(ctx, from, f)
}

// copyTo has the server copy from to dst, which may be the same, with the headers of want.
func (w *writer) copyTo(ctx context.Context, from, dst place, want record, f findings) (dam.Remote, error) {
	h, want, err := newHeaders(w.options, want, false)
	if err != nil {
		return dam.Remote{}, err
	}
	if dst, err = w.sidecars.checkRoom(ctx, dst, want); err != nil {
		return dam.Remote{}, err
	}
	if h.storageClass == "" {
		h.storageClass = from.storageClass // the default of a copy is STANDARD
	}
	stored, err := w.copier.copy(ctx, from, dst, h)
	if err != nil {
		return dam.Remote{}, err
	}
	return w.finish(ctx, dst.after(stored, want), f)
}

// uploadTo sends the bytes of obj to dst.
func (w *writer) uploadTo(ctx context.Context, obj dam.Object, want record, dst place, f findings) (dam.Remote, error) {
	want.from = f.origin(dst.name)
	_, smallest, err := newHeaders(w.options, want, want.Size > w.options.minPartBytes())
	if err == nil {
		dst, err = w.sidecars.checkRoom(ctx, dst, smallest)
	}
	if err != nil {
		return dam.Remote{}, err
	}
	u := &upload{shared: w.uploader, obj: obj, want: want, dst: dst, own: f.own}
	stored, err := u.run(ctx)
	if err != nil {
		return dam.Remote{}, err
	}
	return w.finish(ctx, dst.after(stored, u.want), f)
}

// finish completes a write whose object is in place: it writes or removes the sidecar, and
// removes the asset's other objects. It can be repeated.
func (w *writer) finish(ctx context.Context, at place, f findings) (dam.Remote, error) {
	var err error
	switch {
	case at.record.overflow != "":
		at.side, err = w.sidecars.write(ctx, at)
	case at.side != nil && at.side.of(at.record.AssetID):
		err = w.objects.remove(ctx, *at.side)
	}
	if err != nil {
		return dam.Remote{}, err
	}
	return at.remote(), w.removeOthers(ctx, f, at.name)
}

// removeOthers removes the asset's objects except for the one at name.
func (w *writer) removeOthers(ctx context.Context, f findings, name string) error {
	for _, p := range f.others(name) {
		if err := w.objects.remove(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
