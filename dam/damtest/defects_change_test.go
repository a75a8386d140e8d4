package damtest_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"

	"damsync/dam"
)

// changeDefects break the promises about moves, removals, listings and drift.
var changeDefects = []defect{
	{"leaves a copy on a move", []string{"move/moves to another path"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if err == nil && r.State == dam.Present && path != r.Path {
				_ = b.store.Write(ctx, r.Path, []byte("a copy"))
			}
			return now, err
		}
	}},
	{"finds only by the newest hint", []string{"move/moves to another path"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if len(hints) == 0 || !strings.HasPrefix(hints[0], "dir/") {
				return dam.Remote{State: dam.Absent}, err
			}
			return r, err
		}
	}},
	{"repeats a move that is done", []string{"move/repeating a move writes nothing"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			if r.Path == path {
				_, _ = b.Adapter.Move(ctx, r, m, path+".temporary")
			}
			return b.Adapter.Move(ctx, r, m, path)
		}
	}},
	{"moves an absent object", []string{"move/an absent object is not found"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if errors.Is(err, dam.ErrNotFound) {
				return r, nil
			}
			return now, err
		}
	}},
	{"moves an asset once", []string{"move/two objects swap paths"}, func(b *broken) {
		var moved sync.Map
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			if _, again := moved.LoadOrStore(m.AssetID, true); again {
				r.Path, r.Mark.Generation = path, m.Generation
				return r, nil
			}
			return b.Adapter.Move(ctx, r, m, path)
		}
	}},
	{"fails to retire again", []string{"retire/deletes an object", "retire/an absent object is a success", "drift/a deleted object is retired"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			now, err := b.Adapter.Find(ctx, m.Key(), nil)
			if err == nil && now.State == dam.Absent {
				return now, dam.ErrNotFound
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"deletes instead of archiving", []string{"retire/archives an object"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, _ dam.RetireMode) (dam.Remote, error) {
			return b.Adapter.Retire(ctx, r, m, dam.RetireDelete)
		}
	}},
	{"accepts any retire mode", []string{"retire/rejects an unknown mode"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			if mode != dam.RetireArchive {
				mode = dam.RetireDelete
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"never puts a removed asset again", []string{"retire/puts again after a delete"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if current.State == dam.Absent && current.Mark.Generation > 0 {
				return dam.Remote{}, dam.ErrStale
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never deletes from the archive", []string{"retire/deletes from the archive"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			if r.State == dam.Archived && mode == dam.RetireDelete {
				return r, nil
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"moves nothing out of the archive", []string{"retire/moves out of the archive"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			if r.State == dam.Archived {
				return dam.Remote{}, dam.ErrNotFound
			}
			return b.Adapter.Move(ctx, r, m, path)
		}
	}},
	{"leaves a copy in the archive", []string{"retire/puts out of the archive"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			now, err := b.Adapter.Put(ctx, obj, current)
			if err == nil && current.State == dam.Archived {
				_ = b.store.Write(ctx, ".archive/a copy", []byte("one"))
			}
			return now, err
		}
	}},
	{"has one archive place per path", []string{"retire/archives two assets of one path"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			for other, err := range b.Adapter.List(ctx) {
				if err == nil && mode == dam.RetireArchive && other.State == dam.Archived && other.Path == r.Path && other.Mark.AssetID != m.AssetID {
					_, _ = b.Adapter.Retire(ctx, other, other.Mark, dam.RetireDelete)
				}
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"trusts the mark rather than the caller", []string{"drift/an incomplete object gets its bytes again"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			current.State = dam.Present
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"finds an object from memory", []string{"drift/a deletion is noticed"}, func(b *broken) {
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
	{"reads back an absent object as empty", []string{"drift/reads the bytes back"}, func(b *broken) {
		b.read = func(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
			body, err := b.Adapter.ReadBack(ctx, r)
			if err != nil {
				return io.NopCloser(strings.NewReader("")), nil
			}
			return body, nil
		}
	}},
	{"does not notice an edit", []string{"drift/an edit is noticed"}, func(b *broken) {
		var known sync.Map
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if then, ok := known.Load(key); ok && r.State == dam.Foreign {
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
	{"claims a repair", []string{"drift/an edit is repaired"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if current.State == dam.Incomplete && errors.Is(err, dam.ErrForeign) {
				return current, nil
			}
			return r, err
		}
	}},
	{"cannot retire an edited object", []string{"drift/an edited object is retired"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			now, err := b.Adapter.Find(ctx, m.Key(), []string{r.Path})
			if err == nil && now.State == dam.Foreign && r.State == dam.Present {
				return now, dam.ErrForeign
			}
			return b.Adapter.Retire(ctx, r, m, mode)
		}
	}},
	{"does not list the archive", []string{"list/lists every object once"}, func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return filtered(b.Adapter.List(ctx), func(r dam.Remote) bool { return r.State != dam.Archived })
		}
	}},
	{"does not list foreign objects", []string{"list/lists every object once"}, func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return filtered(b.Adapter.List(ctx), func(r dam.Remote) bool { return r.State != dam.Foreign })
		}
	}},
	{"lists its own state", []string{"list/an empty target lists nothing"}, func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return func(yield func(dam.Remote, error) bool) {
				if !yield(dam.Remote{Path: ".state", State: dam.Foreign}, nil) {
					return
				}
				b.Adapter.List(ctx)(yield)
			}
		}
	}},
	{"lists on after the caller stopped", []string{"list/stops when the caller stops"}, func(b *broken) {
		b.list = func(ctx context.Context) iter.Seq2[dam.Remote, error] {
			return func(yield func(dam.Remote, error) bool) {
				for r, err := range b.Adapter.List(ctx) {
					yield(r, err)
				}
			}
		}
	}},
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
