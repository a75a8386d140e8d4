package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"damsync/dam"
)

// Put implements dam.Adapter.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	r, err := a.put(ctx, obj, current)
	if err != nil {
		return dam.Remote{}, fmt.Errorf("put %s: %w", obj.Mark.AssetID, err)
	}
	return r, nil
}

func (a *Adapter) put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
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
	if r, done, err := a.reuse(next, obj.Adopt, current.State != dam.Incomplete); done || err != nil {
		return r, err
	}
	if next.body, next.mark, err = a.receive(ctx, obj); err != nil {
		return dam.Remote{}, err
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if err := a.admit(next, obj.Adopt); err != nil {
		return dam.Remote{}, err
	}
	return a.store.replace(next, "put")
}

// reuse puts an object whose bytes the store has. It also rejects an object before its
// body is received; whether it may adopt is decided when its bytes are known. trusted
// says that the bytes are still those of the mark.
func (a *Adapter) reuse(next object, adopt, trusted bool) (dam.Remote, bool, error) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if there := a.store.objects[next.path]; !adopt || there == nil || there.mark != (dam.Mark{}) {
		if err := a.admit(next, false); err != nil {
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

// holds reports whether the content of mark is that of want.
func holds(mark, want dam.Mark) bool {
	if want.SHA256 != "" {
		return mark.SHA256 == want.SHA256
	}
	return want.Version != "" && mark.Version == want.Version && (want.Size < 0 || want.Size == mark.Size)
}

// admit returns an error when next may not be put at its path.
func (a *Adapter) admit(next object, adopt bool) error {
	if err := a.store.checkStale(next.mark); err != nil {
		return err
	}
	there := a.store.objects[next.path]
	switch {
	case there == nil || ownerOf(there.mark) == ownerOf(next.mark):
		return nil
	case a.ours(there):
		return &dam.Conflict{Path: next.path, Holder: there.mark.AssetID}
	case adopt && there.mark == (dam.Mark{}) && bytes.Equal(there.body, next.body):
		return nil
	}
	return fmt.Errorf("%s: %w", next.path, dam.ErrForeign)
}

func (s *Store) checkStale(m dam.Mark) error {
	generation := s.removed[ownerOf(m)]
	if _, o := s.find(ownerOf(m)); o != nil {
		generation = max(generation, o.mark.Generation)
	}
	if m.Generation < generation {
		return fmt.Errorf("generation %d after %d: %w", m.Generation, generation, dam.ErrStale)
	}
	return nil
}

// replace makes next the one object of its asset, unless it is already.
func (s *Store) replace(next object, step string) (dam.Remote, error) {
	at, old := s.find(ownerOf(next.mark))
	if old != nil && old.same(next) {
		return old.remote(), nil
	}
	if err := s.step(step); err != nil {
		return dam.Remote{}, err
	}
	if old != nil {
		delete(s.objects, at)
	}
	to := next.path
	if next.archived {
		to = archivePlace(next.mark)
	}
	next.token = s.serial
	s.objects[to] = &next
	return next.remote(), nil
}

func (o *object) same(next object) bool {
	return o.mark == next.mark && o.path == next.path && o.archived == next.archived &&
		o.title == next.title && bytes.Equal(o.metadata, next.metadata) && bytes.Equal(o.body, next.body)
}

// SetMetadata implements dam.Adapter.
func (a *Adapter) SetMetadata(
	ctx context.Context, _ dam.Remote, mark dam.Mark, title string, md dam.Metadata,
) (dam.Remote, error) {
	raw, err := encode(md)
	if err != nil {
		return dam.Remote{}, fmt.Errorf("set metadata: %w", err)
	}
	return a.change(ctx, "set metadata", mark, func(next *object) error {
		next.title, next.metadata, next.mark.MetadataHash = title, raw, mark.MetadataHash
		return nil
	})
}

// Move implements dam.Adapter.
func (a *Adapter) Move(ctx context.Context, _ dam.Remote, mark dam.Mark, p string) (dam.Remote, error) {
	return a.change(ctx, "move", mark, func(next *object) error {
		next.path, next.archived = p, false
		if err := checkPath(p); err != nil {
			return err
		}
		return a.admit(*next, false)
	})
}

// Retire implements dam.Adapter.
func (a *Adapter) Retire(ctx context.Context, _ dam.Remote, mark dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
	if !slices.Contains(a.Describe().Retire, mode) {
		return dam.Remote{}, fmt.Errorf("retire: %w: unknown mode %q", dam.ErrInvalid, mode)
	}
	if mode == dam.RetireArchive {
		r, err := a.change(ctx, "archive", mark, func(next *object) error {
			next.archived = true
			return nil
		})
		if dam.Classify(err) != dam.ClassNotFound {
			return r, err
		}
	}
	if err := a.begin(ctx, mark); err != nil {
		return dam.Remote{}, fmt.Errorf("retire: %w", err)
	}
	return a.erase(mark)
}

func (a *Adapter) erase(mark dam.Mark) (dam.Remote, error) {
	s := a.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkStale(mark); err != nil {
		return dam.Remote{}, fmt.Errorf("retire: %w", err)
	}
	at, o := s.find(ownerOf(mark))
	if o == nil && s.removed[ownerOf(mark)] == mark.Generation {
		return s.absent(ownerOf(mark)), nil
	}
	if err := s.step("delete"); err != nil {
		return dam.Remote{}, fmt.Errorf("retire: %w", err)
	}
	delete(s.objects, at)
	s.removed[ownerOf(mark)] = mark.Generation
	return s.absent(ownerOf(mark)), nil
}

// change edits an object.
func (a *Adapter) change(ctx context.Context, doing string, mark dam.Mark, edit func(*object) error) (dam.Remote, error) {
	if err := a.begin(ctx, mark); err != nil {
		return dam.Remote{}, fmt.Errorf("%s: %w", doing, err)
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	err := a.store.checkStale(mark)
	_, o := a.store.find(ownerOf(mark))
	if err == nil && o == nil {
		err = dam.ErrNotFound
	}
	if err != nil {
		return dam.Remote{}, fmt.Errorf("%s: %w", doing, err)
	}
	next := *o
	next.mark.Generation = mark.Generation
	if err := edit(&next); err != nil {
		return dam.Remote{}, fmt.Errorf("%s: %w", doing, err)
	}
	return a.store.replace(next, doing)
}

func (a *Adapter) begin(ctx context.Context, mark dam.Mark) error {
	if mark.Instance != a.instance || mark.Target != a.target || mark.AssetID == "" {
		return fmt.Errorf("%w: not a mark of this adapter", dam.ErrInvalid)
	}
	return a.store.call(ctx)
}
