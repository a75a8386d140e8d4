package filesystem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// Put implements dam.Adapter. The body is streamed to a file outside the lock;
// only renames and sidecars happen under it.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	doing := "put " + obj.Mark.AssetID
	if err := a.checkMark(obj.Mark); err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	if err := checkPath(obj.Path); err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	if _, err := sidecar.EncodeMetadata(obj.Title, obj.Metadata); err != nil {
		return dam.Remote{}, classed(doing, err) // rather than after the body
	}
	s, err := a.write(ctx)
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	defer s.close()
	r, err := s.put(ctx, obj, current)
	return r, classed(doing, err)
}

func (s *session) put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	f, theirs, err := s.prepare(obj, obj.Mark, current)
	if err != nil {
		return dam.Remote{}, err
	}
	if at, ok := f.whole(); ok && !theirs && at.sidecar.SHA256 != "" && at.sidecar.Holds(obj.Mark) && current.State != dam.Incomplete {
		return s.reuse(f, at, obj)
	}
	s.release()
	temp, sealed, err := s.receive(ctx, obj)
	if err != nil {
		return dam.Remote{}, classed("receive body", err)
	}
	r, err := s.install(ctx, obj, sealed, current, temp)
	if err != nil {
		err = s.drop(temp, obj.Mark.AssetID, err)
	}
	return r, err
}

// receive streams the body to a file, outside the lock.
func (s *session) receive(ctx context.Context, obj dam.Object) (temp string, sealed dam.Mark, err error) {
	if obj.Open == nil {
		return "", dam.Mark{}, fmt.Errorf("%w: no body", dam.ErrSource)
	}
	body, err := obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return "", dam.Mark{}, err
	}
	defer body.Close()
	if temp, err = s.writeTemp(contextReader{ctx, body}); err != nil {
		return "", dam.Mark{}, err
	}
	sealed, err = body.Seal(obj.Mark)
	if err != nil {
		return "", dam.Mark{}, errors.Join(err, s.remove(temp))
	}
	return temp, sealed, nil
}

// prepare settles the asset's last step and checks whether the next may be.
// theirs says that the place has a foreign file that may be adopted, as far as
// mark tells.
func (s *session) prepare(obj dam.Object, mark dam.Mark, current dam.Remote) (f found, theirs bool, err error) {
	if err := s.settle(mark.AssetID); err != nil {
		return found{}, false, err
	}
	if f, err = s.locate(mark.AssetID, obj.Path, current.Ref, current.Path); err != nil {
		return found{}, false, err
	}
	if err := f.checkStale(mark.Generation); err != nil {
		return found{}, false, err
	}
	at, err := s.claim(mark.AssetID, obj.Path)
	if obj.Adopt && errors.Is(err, dam.ErrForeign) {
		var hashErr error
		if theirs, hashErr = s.adoptable(at, mark); theirs || hashErr != nil {
			err = hashErr
		}
	}
	return f, theirs, err
}

// install commits a received body. What was checked before it was received is
// checked again, since others had the lock meanwhile.
func (s *session) install(
	ctx context.Context, obj dam.Object, sealed dam.Mark, current dam.Remote, temp string,
) (dam.Remote, error) {
	obj.Mark = sealed
	c, err := sidecar.New(obj)
	if err != nil {
		return dam.Remote{}, err
	}
	if err := s.acquire(ctx); err != nil {
		return dam.Remote{}, err
	}
	f, theirs, err := s.prepare(obj, sealed, current)
	if err != nil {
		return dam.Remote{}, err
	}
	if theirs {
		if err := s.remove(temp); err != nil {
			return dam.Remote{}, classed("remove body", err)
		}
		return s.transfer(f, nil, c, obj.Path)
	}
	info, err := s.root.Lstat(temp)
	if err != nil {
		return dam.Remote{}, classed("look at body", err)
	}
	return s.transfer(f, trace(temp, info), c, obj.Path)
}

// transfer renames the file at from, when there is one, to its new place,
// describes it there with c, and leaves all other places of the asset.
func (s *session) transfer(f found, from *traces, c sidecar.Document, to string) (dam.Remote, error) {
	rec := record{AssetID: c.AssetID, Generation: c.Generation, Place: to, From: from, To: to, Sidecar: c}
	for _, at := range f.places {
		if at.path != to {
			rec.Old = append(rec.Old, at.old())
		}
	}
	if err := s.commit(f.record, rec); err != nil {
		return dam.Remote{}, err
	}
	at, err := s.look(to)
	return at.remote(), err
}

// reuse puts an object whose bytes are there already.
func (s *session) reuse(f found, at place, obj dam.Object) (dam.Remote, error) {
	sealed := obj.Mark
	sealed.SHA256, sealed.Size = at.sidecar.SHA256, at.sidecar.Size
	obj.Mark = sealed
	c, err := sidecar.New(obj)
	if err != nil {
		return dam.Remote{}, err
	}
	if at.path != obj.Path || len(f.places) > 1 {
		return s.transfer(f, trace(at.path, at.file), c, obj.Path)
	}
	return s.describe(at, c)
}

// describe replaces the sidecar when it would change.
func (s *session) describe(at place, c sidecar.Document) (dam.Remote, error) {
	if !at.unmarked && same(at.sidecar, c) {
		return at.remote(), nil
	}
	if err := s.writeSidecar(at.path, c); err != nil {
		return dam.Remote{}, err
	}
	at.sidecar = c
	return at.remote(), nil
}

// writeSidecar replaces none but the asset's own.
func (s *session) writeSidecar(p string, c sidecar.Document) error {
	at, err := s.look(p)
	if err == nil && at.side != nil && !at.of(c.AssetID) {
		err = dam.ErrForeign
	}
	var raw []byte
	if err == nil {
		raw, err = c.Encode()
	}
	if err == nil {
		err = s.writeIndented(sidecarPath(p), raw)
	}
	return classed("write sidecar of "+p, err)
}

func same(a, b sidecar.Document) bool {
	a.Metadata, b.Metadata = compact(a.Metadata), compact(b.Metadata)
	return reflect.DeepEqual(a, b)
}

func compact(raw json.RawMessage) json.RawMessage {
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil {
		return raw
	}
	return buf.Bytes()
}

// drop removes a body that was not placed, unless a record still tells of it.
func (s *session) drop(temp, assetID string, cause error) error {
	rec, err := s.record(assetID)
	if err != nil || rec != nil && rec.From != nil && rec.From.Path == temp {
		return cause
	}
	if err := s.remove(temp); err != nil {
		return fmt.Errorf("%w (and %s stays: %w)", cause, path.Base(temp), err)
	}
	return cause
}

func (a *Adapter) checkMark(m dam.Mark) error {
	if m.Instance != a.instance || m.Target != a.target || m.AssetID == "" {
		return fmt.Errorf("%w: mark of instance %q, target %q, asset %q is not one of this adapter",
			dam.ErrInvalid, m.Instance, m.Target, m.AssetID)
	}
	return nil
}

// contextReader ends a stream when the context does.
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
