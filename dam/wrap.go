package dam

import (
	"context"
	"io"
	"iter"
)

// Op names a method of Adapter in records and metrics.
type Op string

// The methods that do I/O.
const (
	OpCheck       Op = "check"
	OpFind        Op = "find"
	OpPut         Op = "put"
	OpSetMetadata Op = "set_metadata"
	OpMove        Op = "move"
	OpRetire      Op = "retire"
	OpList        Op = "list"
	OpReadBack    Op = "read_back"
)

// wrap is an Adapter that passes each call through one function. Every decorator
// is made with it.
type wrap struct {
	next   Adapter
	around around
}

// around makes one call by calling do, as often as it needs to, and returns the
// outcome.
type around func(ctx context.Context, t *trace, do func() error) error

// trace is what a decorator may know of a call. Fields that a method does not
// have are empty.
type trace struct {
	op         Op
	assetID    string
	generation int64
	from       string // the object's path before the call
	to         string // the path asked for
	mode       RetireMode
	populated  bool

	answer Remote // of the last do that succeeded
	listed int    // answers of a listing passed on so far
}

var _ Adapter = wrap{}

func (w wrap) Describe() Capabilities { return w.next.Describe() }

func (w wrap) Check(ctx context.Context, populated bool) error {
	return w.around(ctx, &trace{op: OpCheck, populated: populated}, func() error { return w.next.Check(ctx, populated) })
}

func (w wrap) Find(ctx context.Context, key Key, hints []string) (Remote, error) {
	return w.remote(ctx, trace{op: OpFind, assetID: key.AssetID}, func() (Remote, error) {
		return w.next.Find(ctx, key, hints)
	})
}

func (w wrap) Put(ctx context.Context, obj Object, current Remote) (Remote, error) {
	t := trace{op: OpPut, assetID: obj.Mark.AssetID, generation: obj.Mark.Generation, from: current.Path, to: obj.Path}
	return w.remote(ctx, t, func() (Remote, error) { return w.next.Put(ctx, obj, current) })
}

func (w wrap) SetMetadata(ctx context.Context, r Remote, mark OwnerMark, title string, md Metadata) (Remote, error) {
	t := trace{op: OpSetMetadata, assetID: mark.AssetID, generation: mark.Generation, from: r.Path}
	return w.remote(ctx, t, func() (Remote, error) { return w.next.SetMetadata(ctx, r, mark, title, md) })
}

func (w wrap) Move(ctx context.Context, r Remote, mark OwnerMark, path string) (Remote, error) {
	t := trace{op: OpMove, assetID: mark.AssetID, generation: mark.Generation, from: r.Path, to: path}
	return w.remote(ctx, t, func() (Remote, error) { return w.next.Move(ctx, r, mark, path) })
}

func (w wrap) Retire(ctx context.Context, r Remote, mark OwnerMark, mode RetireMode) (Remote, error) {
	t := trace{op: OpRetire, assetID: mark.AssetID, generation: mark.Generation, from: r.Path, mode: mode}
	return w.remote(ctx, t, func() (Remote, error) { return w.next.Retire(ctx, r, mark, mode) })
}

// List is one call from its start to the end of the listing.
func (w wrap) List(ctx context.Context) iter.Seq2[Remote, error] {
	return func(yield func(Remote, error) bool) {
		t := trace{op: OpList}
		err := w.around(ctx, &t, func() error {
			for r, err := range w.next.List(ctx) {
				if err != nil {
					return err
				}
				t.listed++
				if !yield(r, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(Remote{}, err)
		}
	}
}

// ReadBack is one call until the stream is open.
func (w wrap) ReadBack(ctx context.Context, r Remote) (body io.ReadCloser, err error) {
	t := trace{op: OpReadBack, assetID: r.Mark.AssetID, from: r.Path}
	err = w.around(ctx, &t, func() error {
		var err error
		body, err = ReadBack(ctx, w.next, r)
		return err
	})
	return body, err
}

// Abandon implements Abandoner. It bypasses around: it has no outcome.
func (w wrap) Abandon(ctx context.Context, session []byte) { Abandon(ctx, w.next, session) }

func (w wrap) remote(ctx context.Context, t trace, do func() (Remote, error)) (r Remote, err error) {
	err = w.around(ctx, &t, func() error {
		var err error
		r, err = do()
		t.answer = r
		return err
	})
	return r, err
}
