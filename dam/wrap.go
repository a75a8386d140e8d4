package dam

import (
	"context"
	"io"
	"iter"
)

// wrap is an Adapter around each of whose calls a function goes. Decorators
// that treat all calls alike are made with it.
type wrap struct {
	next   Adapter
	around around
}

// around does one call, whose name is op, as often as it likes.
type around func(ctx context.Context, op Op, do func() error) error

// Op names a method of Adapter, fit for records and metrics.
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

var _ Adapter = wrap{}

func (w wrap) Describe() Capabilities { return w.next.Describe() }

func (w wrap) Check(ctx context.Context, populated bool) error {
	return w.around(ctx, OpCheck, func() error { return w.next.Check(ctx, populated) })
}

func (w wrap) Find(ctx context.Context, key Key, hints []string) (Remote, error) {
	return w.remote(ctx, OpFind, func() (Remote, error) { return w.next.Find(ctx, key, hints) })
}

func (w wrap) Put(ctx context.Context, obj Object, current Remote) (Remote, error) {
	return w.remote(ctx, OpPut, func() (Remote, error) { return w.next.Put(ctx, obj, current) })
}

func (w wrap) SetMetadata(ctx context.Context, r Remote, mark Mark, title string, md Metadata) (Remote, error) {
	return w.remote(ctx, OpSetMetadata, func() (Remote, error) { return w.next.SetMetadata(ctx, r, mark, title, md) })
}

func (w wrap) Move(ctx context.Context, r Remote, mark Mark, path string) (Remote, error) {
	return w.remote(ctx, OpMove, func() (Remote, error) { return w.next.Move(ctx, r, mark, path) })
}

func (w wrap) Retire(ctx context.Context, r Remote, mark Mark, mode RetireMode) (Remote, error) {
	return w.remote(ctx, OpRetire, func() (Remote, error) { return w.next.Retire(ctx, r, mark, mode) })
}

// List is one call until it has given its first answer. Once there is one,
// nothing is repeated.
func (w wrap) List(ctx context.Context) iter.Seq2[Remote, error] {
	return func(yield func(Remote, error) bool) {
		begun := false
		var broken error
		err := w.around(ctx, OpList, func() error {
			for r, err := range w.next.List(ctx) {
				if err != nil && begun {
					broken = err // nothing the call can be repeated for
					return nil
				}
				if err != nil {
					return err
				}
				begun = true
				if !yield(r, nil) {
					return nil
				}
			}
			return nil
		})
		if broken != nil {
			err = broken
		}
		if err != nil {
			yield(Remote{}, err)
		}
	}
}

// ReadBack is one call until the stream is open.
func (w wrap) ReadBack(ctx context.Context, r Remote) (body io.ReadCloser, err error) {
	err = w.around(ctx, OpReadBack, func() error {
		var err error
		body, err = ReadBack(ctx, w.next, r)
		return err
	})
	return body, err
}

// Abandon goes past the function: it has no outcome to repeat or to count.
func (w wrap) Abandon(ctx context.Context, session []byte) { Abandon(ctx, w.next, session) }

func (w wrap) remote(ctx context.Context, op Op, do func() (Remote, error)) (r Remote, err error) {
	err = w.around(ctx, op, func() error {
		var err error
		r, err = do()
		return err
	})
	return r, err
}
