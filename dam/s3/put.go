package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"damsync/dam"
)

// errChanged: the place is no longer as it was when looked at. Nothing was
// written.
var errChanged = errors.New("the place changed meanwhile")

// attempts is how often a step is begun anew when somebody else changes the place.
const attempts = 3

// Put implements dam.Adapter. An object that is not there yet takes one request.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	doing := "put " + obj.Mark.AssetID
	want, err := a.admit(obj)
	if err != nil {
		return dam.Remote{}, classed(ctx, doing, err)
	}
	a.cleanWhenDue(ctx)
	seen := current.State != dam.Absent && current.State != ""
	for range attempts {
		var r dam.Remote
		r, err = a.put(ctx, obj, want, current, seen || !a.conditional)
		if !errors.Is(err, errChanged) {
			return r, classed(ctx, doing, err)
		}
		seen = true
	}
	return dam.Remote{}, classed(ctx, doing, fmt.Errorf("%w: %w", dam.ErrTemporary, err))
}

// admit refuses what the target will never accept, before the body is opened.
func (a *Adapter) admit(obj dam.Object) (record, error) {
	if err := a.checkMark(obj.Mark); err != nil {
		return record{}, err
	}
	if err := a.checkPath(obj.Path); err != nil {
		return record{}, err
	}
	if obj.Open == nil {
		return record{}, fmt.Errorf("%w: no body", dam.ErrSource)
	}
	want, err := newRecord(obj)
	if err == nil {
		_, _, err = a.headers(want, false)
	}
	return want, err
}

// put is one attempt. Without look the place is taken to be empty, and the
// server has to say otherwise.
func (a *Adapter) put(ctx context.Context, obj dam.Object, want record, current dam.Remote, look bool) (dam.Remote, error) {
	var f found
	if look {
		names := []string{obj.Path, placeOf(current)}
		if current.State == dam.Incomplete || current.State == dam.Archived {
			names = append(names, a.archivePlaces(want.AssetID, current.Path)...)
			names = append(names, current.Path)
		}
		var err error
		if f, err = a.locate(ctx, want.AssetID, names); err != nil {
			return dam.Remote{}, err
		}
	}
	if err := f.checkStale(want.Generation); err != nil {
		return dam.Remote{}, err
	}
	dst, ours, err := f.claim(want.AssetID, obj.Path)
	if err != nil {
		return dam.Remote{}, err
	}
	if !ours {
		return a.adopt(ctx, obj, want, dst, f)
	}
	if at, ok := f.intact(); ok && current.State != dam.Incomplete && at.record.Holds(obj.Mark) {
		a.Abandon(ctx, obj.Upload.Session)
		return a.reuse(ctx, at, dst, want, f)
	}
	return a.upload(ctx, obj, want, dst, f)
}

// claim makes sure that the asset may have the path: free, or its own. With
// ours false something that nobody marked is there.
func (f found) claim(assetID, name string) (at place, ours bool, err error) {
	at, looked := f.at(name)
	if !looked {
		return place{name: name}, true, nil
	}
	switch {
	case !at.exists, at.of(assetID) && !at.record.sidecar:
		return at, true, nil
	case at.ours && !at.record.sidecar:
		return at, false, &dam.Conflict{Path: name, Holder: at.record.AssetID}
	case at.marked:
		return at, false, fmt.Errorf("%s carries another's mark: %w", name, dam.ErrForeign)
	}
	return at, false, nil
}

// adopt marks an unmarked object that has the bytes asked for, when it may.
func (a *Adapter) adopt(ctx context.Context, obj dam.Object, want record, dst place, f found) (dam.Remote, error) {
	foreign := fmt.Errorf("%s: %w", dst.name, dam.ErrForeign)
	if !obj.Adopt || obj.Mark.Size >= 0 && obj.Mark.Size != dst.size {
		return dam.Remote{}, foreign
	}
	sealed := obj.Mark
	if sealed.SHA256 == "" {
		var err error
		if sealed, err = sealWithoutUse(ctx, obj); err != nil {
			return dam.Remote{}, err
		}
	}
	have, err := a.digestOf(ctx, dst)
	if err != nil {
		return dam.Remote{}, err
	}
	if have != sealed.SHA256 {
		return dam.Remote{}, foreign
	}
	want.SHA256, want.Size = have, dst.size
	return a.transfer(ctx, dst, dst, want, f)
}

// sealWithoutUse reads the body for its digest.
func sealWithoutUse(ctx context.Context, obj dam.Object) (dam.Mark, error) {
	source, err := obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return dam.Mark{}, err
	}
	defer source.Close()
	if _, err := io.Copy(io.Discard, source); err != nil {
		return dam.Mark{}, err
	}
	return source.Seal(obj.Mark)
}

// reuse puts an object whose bytes are there already.
func (a *Adapter) reuse(ctx context.Context, at, dst place, want record, f found) (dam.Remote, error) {
	want.SHA256, want.Size = at.record.SHA256, at.size
	if want.SHA256 == "" {
		var err error
		if want.SHA256, err = a.digestOf(ctx, at); err != nil {
			return dam.Remote{}, err
		}
	}
	return a.bring(ctx, at, dst, want, f)
}

// bring makes at the object that want describes, at dst.
func (a *Adapter) bring(ctx context.Context, at, dst place, want record, f found) (dam.Remote, error) {
	want.from = f.rest(dst.name)
	if at.name != dst.name {
		return a.transfer(ctx, at, dst, want, f)
	}
	if !at.record.says(want) {
		return a.transfer(ctx, at, dst, want, f)
	}
	if !at.described() {
		want.overflow = at.record.overflow
		return a.settle(ctx, at, want, f)
	}
	return at.remote(), a.leave(ctx, f.others(dst.name))
}

// digestOf gives the SHA-256 that the server has, or reads the object.
func (a *Adapter) digestOf(ctx context.Context, at place) (string, error) {
	if at.sha256 != "" {
		return at.sha256, nil
	}
	body, err := a.get(ctx, at)
	if err != nil {
		return "", err
	}
	source := dam.NewSource(body, at.size, "")
	defer source.Close()
	if _, err := io.Copy(io.Discard, source); err != nil {
		return "", fmt.Errorf("read back %s: %w: %s", at.name, dam.ErrTemporary, err.Error())
	}
	sealed, err := source.Seal(dam.Mark{})
	return sealed.SHA256, err
}
