package damtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"

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
	metadata func(context.Context, dam.Remote, dam.Mark, string, dam.Metadata) (dam.Remote, error)
	move     func(context.Context, dam.Remote, dam.Mark, string) (dam.Remote, error)
	retire   func(context.Context, dam.Remote, dam.Mark, dam.RetireMode) (dam.Remote, error)
	list     func(context.Context) iter.Seq2[dam.Remote, error]
	read     func(context.Context, dam.Remote) (io.ReadCloser, error)
}

func whole(store *memory.Store, instance string) *broken {
	a := memory.New(store, "memory", instance)
	return &broken{
		Adapter: a, store: store, check: a.Check, find: a.Find, put: a.Put, metadata: a.SetMetadata, move: a.Move,
		retire: a.Retire, list: a.List, read: a.ReadBack,
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

func (b *broken) SetMetadata(ctx context.Context, r dam.Remote, m dam.Mark, title string, md dam.Metadata) (dam.Remote, error) {
	return b.metadata(ctx, r, m, title, md)
}

func (b *broken) Move(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
	return b.move(ctx, r, m, path)
}

func (b *broken) Retire(ctx context.Context, r dam.Remote, m dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
	return b.retire(ctx, r, m, mode)
}

func (b *broken) List(ctx context.Context) iter.Seq2[dam.Remote, error] { return b.list(ctx) }

func (b *broken) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	return b.read(ctx, r)
}

// defects are adapters that each break one promise, and a case that has to
// notice.
var defects = []struct {
	name   string
	caught string
	spoil  func(b *broken)
}{
	{"overwrites what is foreign", "foreign/in the place", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"overwrites another asset", "put/another's place", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassConflict {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"forgets the mark", "put/create", func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			r.Mark = dam.Mark{Generation: r.Mark.Generation}
			return r, err
		}
	}},
	{"seals without a digest", "put/create", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			r.Mark.SHA256 = ""
			return r, err
		}
	}},
	{"publishes before the end of the body", "body/broken on creation", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				_ = b.store.Write(ctx, obj.Path, []byte("tw"))
			}
			return r, err
		}
	}},
	{"takes any end for the end", "body/broken on replacing", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			open := obj.Open
			obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
				source, err := open(ctx, from)
				if err != nil {
					return nil, err
				}
				got, _ := io.ReadAll(source)
				return dam.NewSource(strings.NewReader(string(got)), dam.UnknownSize, ""), nil
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"hides the body's error", "body/does not open", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				err = errors.New("upload failed")
			}
			return r, err
		}
	}},
	{"ignores generations", "generations/lower changes nothing", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrStale) {
				obj.Mark.Generation += 1000
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"looks at generations only beforehand", "generations/late worker", looksBeforehand},
	{"looks only beforehand in a race", "generations/workers racing", looksBeforehand},
	{"looks only beforehand in a race elsewhere", "generations/workers racing to other places", looksBeforehand},
	{"trusts the mark more than the caller", "drift/known to be edited", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			current.State = dam.Present
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"leaves what a failed put began", "trouble/failing for a moment", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err != nil {
				err = errors.Join(err, b.store.Write(ctx, obj.Path+".part", nil))
			}
			return r, err
		}
	}},
	{"forgets what was removed", "generations/lower after removal", func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if r.State == dam.Absent {
				r.Mark.Generation = 0
			}
			return r, err
		}
	}},
	{"loses metadata", "put/create", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Metadata = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"cuts long metadata", "metadata/kept whole or refused", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Title = obj.Title[:min(len(obj.Title), 255)]
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"merges metadata", "metadata/replaced without bytes", func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.Mark, title string, md dam.Metadata) (dam.Remote, error) {
			seen, err := b.store.Look(ctx, r.Path)
			if err != nil {
				return b.Adapter.SetMetadata(ctx, r, m, title, md)
			}
			for k, v := range md {
				seen.Metadata[k] = v
			}
			return b.Adapter.SetMetadata(ctx, r, m, title, seen.Metadata)
		}
	}},
	{"doubles on move", "move/another path", func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if err == nil && r.State == dam.Present && path != r.Path {
				_ = b.store.Write(ctx, r.Path, []byte("a copy"))
			}
			return now, err
		}
	}},
	{"leaves the old place", "put/new version elsewhere", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err == nil && current.State == dam.Present && current.Path != obj.Path {
				_ = b.store.Write(ctx, current.Path, []byte("old"))
			}
			return r, err
		}
	}},
	{"doubles when it is killed", "crash/move, killed at each step", func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if err != nil && dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, path, []byte("one"))
			}
			return now, err
		}
	}},
	{"writes again what is the same", "put/the same again", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, obj.Mark.Key(), nil)
			if err == nil && r.State == dam.Present && r.Mark.Generation == obj.Mark.Generation {
				current.State = dam.Incomplete
				_, _ = b.Adapter.Move(ctx, r, r.Mark, obj.Path+".temporary")
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"retires once only", "retire/delete", func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
			now, err := b.Adapter.Find(ctx, m.Key(), nil)
			if err == nil && now.State == dam.Absent {
				return now, dam.ErrNotFound
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"archives for good", "retire/archive", func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.Mark, _ dam.RetireMode) (dam.Remote, error) {
			return b.Adapter.Retire(ctx, r, m, dam.RetireDelete)
		}
	}},
	{"takes any mode", "retire/no such mode", func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
			if mode != dam.RetireArchive {
				mode = dam.RetireDelete
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"finds what it remembers", "drift/deleted", func(b *broken) {
		var known sync.Map
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if then, ok := known.Load(key); ok && r.State == dam.Absent {
				return then.(dam.Remote), err
			}
			return r, err
		}
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err == nil {
				known.Store(obj.Mark.Key(), r)
			}
			return r, err
		}
	}},
	{"finds only by the newest hint", "move/another path", func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if len(hints) == 0 || !strings.HasPrefix(hints[0], "dir/") {
				return dam.Remote{State: dam.Absent}, err
			}
			return r, err
		}
	}},
	{"takes trouble for absence", "trouble/failing", func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if errors.Is(err, dam.ErrTemporary) {
				return dam.Remote{State: dam.Absent}, nil
			}
			return r, err
		}
	}},
	{"takes throttling for a fault of the object", "trouble/throttled", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassThrottled {
				err = dam.ErrInvalid
			}
			return r, err
		}
	}},
	{"adopts whatever is there", "foreign/not adopted when another", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if obj.Adopt && errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"never adopts", "foreign/adopted when the same", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Adopt = false
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"does not list the archive", "list/everything once", func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return filtered(b.Adapter.List(ctx), func(r dam.Remote) bool { return r.State != dam.Archived })
		}
	}},
	{"does not list what is foreign", "list/everything once", func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return filtered(b.Adapter.List(ctx), func(r dam.Remote) bool { return r.State != dam.Foreign })
		}
	}},
	{"lists on after a failure", "trouble/failing", func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return func(yield func(dam.Remote, error) bool) {
				for r, err := range b.Adapter.List(ctx) {
					if err == nil && !yield(r, nil) {
						return
					}
				}
			}
		}
	}},
	{"begins uploads anew", "resume/goes on where it broke off", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload.Session = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never saves a session", "resume/in another process", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload = dam.Upload{}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"resumes with another content", "resume/not with another content", func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			open := obj.Open
			if len(obj.Upload.Session) == 0 {
				return b.Adapter.Put(ctx, obj, current)
			}
			obj.Upload.Session = nil
			obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
				source, err := open(ctx, from)
				if err != nil {
					return nil, err
				}
				const first = "content" // of the upload that broke off
				rest, err := io.ReadAll(source)
				mixed := io.MultiReader(strings.NewReader(first), bytes.NewReader(rest[min(len(first), len(rest)):]))
				return dam.NewSource(mixed, int64(len(rest)), ""), err
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"folds case", "names/two names that a target may take for one", func(b *broken) {
		b.put = onPath(b, strings.ToLower)
	}},
	{"normalizes names", "names/odd names", func(b *broken) { b.put = onPath(b, norm.NFC.String) }},
	{"cuts long names", "names/longest path", func(b *broken) {
		b.put = onPath(b, func(p string) string { return p[:min(len(p), 200)] })
	}},
	{"cleans bad paths", "names/no paths", func(b *broken) {
		b.put = onPath(b, func(p string) string { return strings.TrimLeft(strings.ReplaceAll(p, "//", "/"), "/.") })
	}},
	{"leaves something at a check", "put/check leaves nothing", func(b *broken) {
		b.check = func(ctx context.Context, populated bool) error {
			return errors.Join(b.Adapter.Check(ctx, populated), b.store.Write(ctx, ".damsync-canary", nil))
		}
	}},
	{"ignores its context", "body/cancelled", func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			return b.Adapter.Move(context.WithoutCancel(ctx), r, m, path)
		}
	}},
	{"reads back what it is asked for", "drift/read back", func(b *broken) {
		b.read = func(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
			body, err := b.Adapter.ReadBack(ctx, r)
			if err != nil {
				return io.NopCloser(strings.NewReader("")), nil
			}
			return body, nil
		}
	}},
	{"claims a capability it has not", "put/describe", func(b *broken) {
		b.describe = func(c dam.Capabilities) dam.Capabilities {
			c.MinPartBytes = 0
			return c
		}
	}},
}

// looksBeforehand spoils b so that who comes while a body is on its way is not noticed.
func looksBeforehand(b *broken) {
	b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
		if r, err := b.Adapter.Find(ctx, obj.Mark.Key(), nil); err != nil || r.Mark.Generation > obj.Mark.Generation {
			return r, errors.Join(err, dam.ErrStale)
		}
		r, err := b.Adapter.Put(ctx, obj, current)
		if errors.Is(err, dam.ErrStale) {
			obj.Mark.Generation += 1000
			return b.Adapter.Put(ctx, obj, current)
		}
		return r, err
	}
}

func filtered(all iter.Seq2[dam.Remote, error], keep func(dam.Remote) bool) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		for r, err := range all {
			if err == nil && !keep(r) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func onPath(b *broken, change func(string) string) func(context.Context, dam.Object, dam.Remote) (dam.Remote, error) {
	return func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
		obj.Path = change(obj.Path)
		return b.Adapter.Put(ctx, obj, current)
	}
}

// The suite reports every defect in the case meant for it.
func TestSuiteCatchesDefects(t *testing.T) {
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			results := verify(t, func(target *damtest.Target, store *memory.Store) {
				target.Open = func(instance string) (dam.Adapter, error) {
					b := whole(store, instance)
					d.spoil(b)
					return b, nil
				}
			})
			r, ok := results[d.caught]
			if !ok {
				t.Fatalf("there is no case %q", d.caught)
			}
			if r.Outcome != damtest.Failed {
				t.Errorf("%q %s: %q", d.caught, r.Outcome, r.Messages)
			}
		})
	}
}

// verify runs the suite outside of a test.
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
			t.Errorf("passed, but %s failed", name)
		}
	}
	return results
}

// What has every capability and every hook passes every case.
func TestWholeAdapterSkipsNothing(t *testing.T) {
	for name, r := range verify(t, func(target *damtest.Target, store *memory.Store) {
		target.Open = func(instance string) (dam.Adapter, error) { return whole(store, instance), nil }
	}) {
		if r.Outcome != damtest.Passed {
			t.Errorf("%s %s: %q", name, r.Outcome, r.Messages)
		}
	}
}
