package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// upload is one Put under way.
type upload struct {
	*session
	obj     dam.Object
	current dam.Remote
}

func (u upload) run(ctx context.Context) (dam.Remote, error) {
	f, adopts, err := u.prepare(u.obj.Mark)
	if err != nil {
		return dam.Remote{}, err
	}
	if at, ok := f.whole(); ok && !adopts && at.holds(u.obj.Mark) && u.current.State != dam.Incomplete {
		return u.reuseExisting(f, at)
	}
	u.release()
	temp, sealed, err := u.receive(ctx)
	if err != nil {
		return dam.Remote{}, classed("receive body", err)
	}
	r, err := u.install(ctx, sealed, temp)
	if err != nil {
		err = u.discard(temp, err)
	}
	return r, err
}

// prepare completes the asset's last step and checks whether the next one may begin.
// adopts says that the place has a foreign file that may be adopted, as far as mark
// knows.
func (u upload) prepare(mark dam.OwnerMark) (f found, adopts bool, err error) {
	if f, err = begin(u.journal, mark, u.obj.Path, u.current.Ref, u.current.Path); err != nil {
		return found{}, false, err
	}
	at, err := u.claimPath(mark.AssetID, u.obj.Path)
	if u.obj.Adopt && errors.Is(err, dam.ErrForeign) {
		var hashErr error
		if adopts, hashErr = at.adoptable(u.tree, mark); adopts || hashErr != nil {
			err = hashErr
		}
	}
	return f, adopts, err
}

// receive streams the body to a file in tmp, outside the lock.
func (u upload) receive(ctx context.Context) (temp string, sealed dam.OwnerMark, err error) {
	if u.obj.Open == nil {
		return "", dam.OwnerMark{}, fmt.Errorf("%w: no body", dam.ErrSource)
	}
	body, err := u.obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return "", dam.OwnerMark{}, err
	}
	defer body.Close()
	if temp, err = u.writeTemp(contextReader{ctx, body}); err != nil {
		return "", dam.OwnerMark{}, err
	}
	sealed, err = body.Seal(u.obj.Mark)
	if err != nil {
		return "", dam.OwnerMark{}, errors.Join(err, u.remove(temp))
	}
	return temp, sealed, nil
}

// install puts a received body in its place. It checks again what was checked before
// the body was received, since others had the lock meanwhile.
func (u upload) install(ctx context.Context, sealed dam.OwnerMark, temp string) (dam.Remote, error) {
	doc, err := u.document(sealed)
	if err != nil {
		return dam.Remote{}, err
	}
	if err := u.acquire(ctx); err != nil {
		return dam.Remote{}, err
	}
	f, adopts, err := u.prepare(sealed)
	if err != nil {
		return dam.Remote{}, err
	}
	if adopts {
		if err := u.remove(temp); err != nil {
			return dam.Remote{}, classed("remove body", err)
		}
		return u.placeAt(f, nil, doc, u.obj.Path)
	}
	info, err := u.root.Lstat(temp)
	if err != nil {
		return dam.Remote{}, classed("look at body", err)
	}
	return u.placeAt(f, fingerprintOf(temp, info), doc, u.obj.Path)
}

// reuseExisting puts an object whose bytes are at the target already.
func (u upload) reuseExisting(f found, at place) (dam.Remote, error) {
	sealed := u.obj.Mark
	sealed.SHA256, sealed.Size = at.sidecar.SHA256, at.sidecar.Size
	doc, err := u.document(sealed)
	if err != nil {
		return dam.Remote{}, err
	}
	if at.path != u.obj.Path || len(f.places) > 1 {
		return u.placeAt(f, fingerprintOf(at.path, at.file), doc, u.obj.Path)
	}
	return at.describe(u.tree, doc)
}

func (u upload) document(sealed dam.OwnerMark) (sidecar.Document, error) {
	obj := u.obj
	obj.Mark = sealed
	return sidecar.New(obj)
}

// discard removes a body that was not installed, unless the asset's record still
// names it.
func (u upload) discard(temp string, cause error) error {
	rec, err := u.readRecord(u.obj.Mark.AssetID)
	if err != nil || rec != nil && rec.From != nil && rec.From.Path == temp {
		return cause
	}
	if err := u.remove(temp); err != nil {
		return fmt.Errorf("%w (and %s is left: %w)", cause, path.Base(temp), err)
	}
	return cause
}

// contextReader ends a stream when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
