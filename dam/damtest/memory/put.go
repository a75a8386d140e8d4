package memory

import (
	"bytes"
	"context"
	"fmt"

	"damsync/dam"
)

// put puts an object. It receives the body only when the store does not have it.
func put(ctx context.Context, a *Adapter, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	md, err := encode(obj.Metadata)
	if err == nil {
		err = checkPath(obj.Path)
	}
	if err == nil {
		err = a.begin(ctx, obj.Mark)
	}
	if err != nil {
		return dam.Remote{}, err
	}
	next := object{mark: obj.Mark, path: obj.Path, title: obj.Title, metadata: md}
	if r, done, err := reuse(a, next, obj.Adopt, current.State != dam.Incomplete); done || err != nil {
		return r, err
	}
	next.body, next.mark, err = upload{a.store, obj}.receive(ctx)
	if err != nil {
		return dam.Remote{}, err
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := admit(a, next, obj.Adopt); err != nil {
		return dam.Remote{}, err
	}
	return a.store.replace(next, "put")
}

// reuse puts an object whose bytes the store has. It also rejects an object before its
// body is received; whether it may adopt is decided when its bytes are known. trusted
// says that the bytes are still those of the mark.
func reuse(a *Adapter, next object, adopt, trusted bool) (dam.Remote, bool, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if there := a.store.objects[next.path]; !adopt || there == nil || there.mark != (dam.OwnerMark{}) {
		if err := admit(a, next, false); err != nil {
			return dam.Remote{}, false, err
		}
	}
	_, o := a.store.find(ownerOf(next.mark))
	if o == nil || !trusted || !holds(o.mark, next.mark) {
		return dam.Remote{}, false, nil
	}
	next.body = o.body
	next.mark.SHA256, next.mark.Size = o.mark.SHA256, o.mark.Size
	r, err := a.store.replace(next, "put")
	return r, err == nil, err
}

// admit returns an error when next may not be put at its path.
func admit(a *Adapter, next object, adopt bool) error {
	if err := a.store.checkStale(next.mark); err != nil {
		return err
	}
	there := a.store.objects[next.path]
	switch {
	case there == nil || ownerOf(there.mark) == ownerOf(next.mark):
		return nil
	case a.ours(there):
		return &dam.Conflict{Path: next.path, Holder: there.mark.AssetID}
	case adopt && there.mark == (dam.OwnerMark{}) && bytes.Equal(there.body, next.body):
		return nil
	}
	return fmt.Errorf("%s: %w", next.path, dam.ErrForeign)
}
