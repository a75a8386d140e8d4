package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"

	"damsync/dam"
)

// Adapter is the adapter for a Store. New makes one.
type Adapter struct {
	store    *Store
	target   string
	instance string
}

var (
	_ dam.Adapter    = (*Adapter)(nil)
	_ dam.ReadBacker = (*Adapter)(nil)
	_ dam.Abandoner  = (*Adapter)(nil)
)

// New returns the adapter for a target of an installation.
func New(s *Store, target, instance string) *Adapter {
	return &Adapter{store: s, target: target, instance: instance}
}

// Describe implements dam.Adapter.
func (a *Adapter) Describe() dam.Capabilities {
	return dam.Capabilities{
		Adapter: "memory", Retire: []dam.RetireMode{dam.RetireDelete, dam.RetireArchive},
		MaxPathBytes: maxPathBytes, RemembersRemoved: true, UniquePaths: true,
		AtomicCreate: true, ConditionalReplace: true, MetadataWithoutBytes: true, ServerSideMove: true,
		MaxMetadataBytes: maxMetadata, ContentHash: "sha256",
		ResumableUpload: true, MinPartBytes: partBytes, ReadBack: true,
	}
}

// Check implements dam.Adapter.
func (a *Adapter) Check(ctx context.Context, _ bool) error { return a.store.call(ctx) }

// Find implements dam.Adapter.
func (a *Adapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if err := a.store.call(ctx); err != nil {
		return dam.Remote{}, fmt.Errorf("find: %w", err)
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	who := owner{key, a.target}
	if _, o := a.store.find(who); o != nil {
		return o.remote(), nil
	}
	if len(hints) > 0 {
		if o := a.store.objects[hints[0]]; o != nil && !a.ours(o) {
			return dam.Remote{Path: hints[0], State: dam.Foreign}, nil
		}
	}
	return a.store.absent(who), nil
}

// List implements dam.Adapter.
func (a *Adapter) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		if err := a.store.call(ctx); err != nil {
			yield(dam.Remote{}, fmt.Errorf("list: %w", err))
			return
		}
		for _, r := range a.all() {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (a *Adapter) all() []dam.Remote {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	var out []dam.Remote
	for place, o := range a.store.objects {
		if a.ours(o) {
			out = append(out, o.remote())
		} else {
			out = append(out, dam.Remote{Path: place, State: dam.Foreign})
		}
	}
	return out
}

// ReadBack implements dam.ReadBacker.
func (a *Adapter) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	if err := a.store.call(ctx); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	_, o := a.store.find(ownerOf(r.Mark))
	if o == nil {
		return nil, fmt.Errorf("read back: %w", dam.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(o.body)), nil
}

func (a *Adapter) ours(o *object) bool {
	return o.mark.Instance == a.instance && o.mark.Target == a.target
}

// Put implements dam.Adapter.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	r, err := put(ctx, a, obj, current)
	if err != nil {
		return dam.Remote{}, fmt.Errorf("put %s: %w", obj.Mark.AssetID, err)
	}
	return r, nil
}

// SetMetadata implements dam.Adapter.
func (a *Adapter) SetMetadata(
	ctx context.Context, _ dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata,
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
func (a *Adapter) Move(ctx context.Context, _ dam.Remote, mark dam.OwnerMark, p string) (dam.Remote, error) {
	return a.change(ctx, "move", mark, func(next *object) error {
		next.path, next.archived = p, false
		if err := checkPath(p); err != nil {
			return err
		}
		return admit(a, *next, false)
	})
}

// Retire implements dam.Adapter.
func (a *Adapter) Retire(ctx context.Context, _ dam.Remote, mark dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
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
	return a.store.erase(mark)
}

// change edits an object.
func (a *Adapter) change(ctx context.Context, doing string, mark dam.OwnerMark, edit func(*object) error) (dam.Remote, error) {
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

func (a *Adapter) begin(ctx context.Context, mark dam.OwnerMark) error {
	if mark.Instance != a.instance || mark.Target != a.target || mark.AssetID == "" {
		return fmt.Errorf("%w: not a mark of this adapter", dam.ErrInvalid)
	}
	return a.store.call(ctx)
}

// Abandon implements dam.Abandoner.
func (a *Adapter) Abandon(_ context.Context, raw []byte) {
	var at session
	if json.Unmarshal(raw, &at) != nil {
		return
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	delete(a.store.uploads, at.Upload)
}
