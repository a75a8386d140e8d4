package damtest_test

import (
	"context"
	"io"
	"iter"
	"slices"
	"testing"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/damtest/memory"
)

// broken is the reference adapter with one defect.
type broken struct {
	*memory.Adapter
	store    *memory.Store
	describe func(dam.Capabilities) dam.Capabilities
	check    func(context.Context, bool) error
	find     func(context.Context, dam.Key, []string) (dam.Remote, error)
	put      func(context.Context, dam.Object, dam.Remote) (dam.Remote, error)
	metadata func(context.Context, dam.Remote, dam.OwnerMark, string, dam.Metadata) (dam.Remote, error)
	move     func(context.Context, dam.Remote, dam.OwnerMark, string) (dam.Remote, error)
	retire   func(context.Context, dam.Remote, dam.OwnerMark, dam.RetireMode) (dam.Remote, error)
	list     func(context.Context) iter.Seq2[dam.Remote, error]
	read     func(context.Context, dam.Remote) (io.ReadCloser, error)
	abandon  func(context.Context, []byte)
}

func correct(store *memory.Store, instance string) *broken {
	a := memory.New(store, "memory", instance)
	return &broken{
		Adapter: a, store: store, check: a.Check, find: a.Find, put: a.Put, metadata: a.SetMetadata, move: a.Move,
		retire: a.Retire, list: a.List, read: a.ReadBack, abandon: a.Abandon,
		describe: func(c dam.Capabilities) dam.Capabilities { return c },
	}
}

func (b *broken) Describe() dam.Capabilities                      { return b.describe(b.Adapter.Describe()) }
func (b *broken) Check(ctx context.Context, populated bool) error { return b.check(ctx, populated) }

func (b *broken) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	return b.find(ctx, key, hints)
}

func (b *broken) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	return b.put(ctx, obj, current)
}

func (b *broken) SetMetadata(ctx context.Context, r dam.Remote, m dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
	return b.metadata(ctx, r, m, title, md)
}

func (b *broken) Move(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
	return b.move(ctx, r, m, path)
}

func (b *broken) Retire(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
	return b.retire(ctx, r, m, mode)
}

func (b *broken) List(ctx context.Context) iter.Seq2[dam.Remote, error] { return b.list(ctx) }

func (b *broken) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	return b.read(ctx, r)
}

// Abandon implements dam.Abandoner.
func (b *broken) Abandon(ctx context.Context, session []byte) { b.abandon(ctx, session) }

// defect is an adapter that breaks one promise, with the cases that must notice it.
type defect struct {
	name   string
	caught []string
	inject func(b *broken)
}

func defects() []defect { return slices.Concat(putDefects, changeDefects, troubleDefects) }

func TestSuiteCatchesEachDefect(t *testing.T) {
	for _, d := range defects() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			results := verify(t, func(target *damtest.Target, store *memory.Store) {
				target.Open = func(instance string) (dam.Adapter, error) {
					b := correct(store, instance)
					d.inject(b)
					return b, nil
				}
			})
			for _, caught := range d.caught {
				r, ok := results[caught]
				if !ok {
					t.Errorf("there is no case %q", caught)
				}
				if r.Outcome != damtest.Failed {
					t.Errorf("%q %s: %q", caught, r.Outcome, r.Messages)
				}
			}
		})
	}
}

// verify runs the suite outside go test.
func verify(t *testing.T, change func(*damtest.Target, *memory.Store)) map[string]damtest.Result {
	t.Helper()
	results := map[string]damtest.Result{}
	passed := damtest.Verify(t.Context(), func(context.Context) (damtest.Target, error) {
		store := memory.NewStore()
		target := store.Target()
		change(&target, store)
		return target, nil
	}, func(r damtest.Result) { results[r.Case] = r })
	for name, r := range results {
		if passed && r.Outcome == damtest.Failed {
			t.Errorf("Verify returned true, but %s failed", name)
		}
	}
	return results
}

func TestEachCaseCatchesADefect(t *testing.T) {
	caughtBy := map[string]bool{}
	for _, d := range defects() {
		for _, caught := range d.caught {
			caughtBy[caught] = true
		}
	}
	for name := range verify(t, func(*damtest.Target, *memory.Store) {}) {
		if !caughtBy[name] {
			t.Errorf("no defect is meant for %q", name)
		}
	}
}

// The reference adapter has every capability and every hook.
func TestReferenceAdapterPassesEachCase(t *testing.T) {
	for name, r := range verify(t, func(target *damtest.Target, store *memory.Store) {
		target.Open = func(instance string) (dam.Adapter, error) { return correct(store, instance), nil }
	}) {
		if r.Outcome != damtest.Passed {
			t.Errorf("%s %s: %q", name, r.Outcome, r.Messages)
		}
	}
}
