package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"

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

// find returns the object of an asset and its place; nil when there is none.
func (s *Store) find(who owner) (string, *object) {
	for place, o := range s.objects {
		if ownerOf(o.mark) == who {
			return place, o
		}
	}
	return "", nil
}

func (s *Store) absent(who owner) dam.Remote {
	return dam.Remote{State: dam.Absent, Mark: dam.Mark{Generation: s.removed[who]}}
}

func (o *object) remote() dam.Remote {
	r := dam.Remote{Path: o.path, State: dam.Present, Mark: o.mark, Token: strconv.Itoa(o.token)}
	r.Hash = fmt.Sprintf("sha256:%x", sha256.Sum256(o.body))
	if o.archived {
		r.State = dam.Archived
	}
	return r
}

func encode(md dam.Metadata) ([]byte, error) {
	raw, err := json.Marshal(md)
	if err != nil {
		return nil, fmt.Errorf("%w: encode metadata: %w", dam.ErrInvalid, err)
	}
	if len(raw) > maxMetadata {
		return nil, fmt.Errorf("%w: metadata of %d bytes", dam.ErrInvalid, len(raw))
	}
	return raw, nil
}

func decode(raw []byte) (dam.Metadata, error) {
	md := dam.Metadata{}
	if len(raw) == 0 {
		return md, nil
	}
	if err := json.Unmarshal(raw, &md); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	if md == nil {
		md = dam.Metadata{} // null
	}
	return md, nil
}
