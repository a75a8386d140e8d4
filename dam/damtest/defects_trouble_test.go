package damtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"

	"damsync/dam"
)

// troubleDefects break the promises for races, crashes, interrupted uploads and taken
// places.
var troubleDefects = []defect{
	{"ignores generations", []string{"generations/a lower generation changes nothing"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrStale) {
				obj.Mark.Generation += 1000
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"checks generations only before the body", []string{"generations/a late create is stale", "generations/a late replacement is stale", "generations/a late put at another path is stale", "generations/a late put after a removal is stale"}, checksBeforeTheBody},
	{"checks only before the body in a race", []string{"generations/the highest generation wins a race"}, checksBeforeTheBody},
	{"checks only before the body in a race across paths", []string{"generations/the highest generation wins a race across paths"}, checksBeforeTheBody},
	{"forgets removed generations", []string{"generations/a lower generation after a removal is stale"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if r.State == dam.Absent {
				r.Mark.Generation = 0
			}
			return r, err
		}
	}},
	{"overwrites foreign objects", []string{"foreign/is never overwritten"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"adopts other bytes", []string{"foreign/is not adopted with other bytes"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if obj.Adopt && errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"never adopts", []string{"foreign/is adopted with the same bytes"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Adopt = false
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"moves over foreign objects", []string{"foreign/is never moved over"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, path)
				return b.Adapter.Move(ctx, r, m, path)
			}
			return now, err
		}
	}},
	{"checks for foreign objects only before the body", []string{"foreign/is not overwritten when it appears during an upload"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			_, before := b.store.Look(ctx, obj.Path)
			var body []byte
			obj.Open = rewritten(obj.Open, func(got []byte) []byte { body = got; return got })
			r, err := b.Adapter.Put(ctx, obj, current)
			if before != nil && errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
					return dam.NewSource(bytes.NewReader(body), dam.UnknownSize, ""), nil
				}
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"takes each mark for its own", []string{"foreign/another installation's object is foreign"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			return overMarked(ctx, b, obj, current, true)
		}
	}},
	{"adopts marked objects", []string{"foreign/another installation's object is never adopted"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			return overMarked(ctx, b, obj, current, obj.Adopt)
		}
	}},
	{"never resumes", []string{"resume/resumes where it broke off"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload.Session = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never saves a session", []string{"resume/resumes in another process"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload = dam.Upload{}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"resumes with other content", []string{"resume/does not resume other content"}, func(b *broken) {
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
				const first = "content" // of the interrupted upload
				rest, err := io.ReadAll(source)
				mixed := io.MultiReader(strings.NewReader(first), bytes.NewReader(rest[min(len(first), len(rest)):]))
				return dam.NewSource(mixed, int64(len(rest)), ""), err
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"fails on an invalid session", []string{"resume/ignores an invalid session"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if s := obj.Upload.Session; len(s) > 0 && !json.Valid(s) {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never restarts", []string{"resume/restarts when the content cannot be continued"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			open := obj.Open
			obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
				source, err := open(ctx, from)
				if errors.Is(err, dam.ErrCheckpoint) {
					err = dam.ErrSource
				}
				return source, err
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"publishes a part when it cannot save", []string{"resume/tolerates a session that cannot be saved"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassUnknown && obj.Upload.Save != nil {
				_ = b.store.Write(ctx, obj.Path, []byte("content"))
			}
			return r, err
		}
	}},
	{"removes an object when it abandons", []string{"resume/abandons an upload"}, func(b *broken) {
		b.abandon = func(ctx context.Context, session []byte) {
			b.Adapter.Abandon(ctx, session)
			_ = b.store.Remove(ctx, "b.png")
		}
	}},
	{"leaves the parts of a failed put", []string{"trouble/a failure at each step is recovered"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err != nil {
				err = errors.Join(err, b.store.Write(ctx, obj.Path+".part", nil))
			}
			return r, err
		}
	}},
	{"takes a failure for absence", []string{"trouble/a failing target is not taken for an empty one"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if errors.Is(err, dam.ErrTemporary) {
				return dam.Remote{State: dam.Absent}, nil
			}
			return r, err
		}
	}},
	{"takes throttling for an invalid object", []string{"trouble/throttling is reported as such"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassThrottled {
				err = dam.ErrInvalid
			}
			return r, err
		}
	}},
	{"lists on after a failure", []string{"trouble/a failing target is not taken for an empty one"}, func(b *broken) {
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
	{"leaves a copy in a crash", []string{"crash/move survives a crash at each step", "crash/move out of the archive survives a crash at each step"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if err != nil && dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, path, []byte("one"))
			}
			return now, err
		}
	}},
	{"publishes half a body in a crash", []string{"crash/create survives a crash at each step", "crash/replace survives a crash at each step", "crash/replace elsewhere survives a crash at each step", "crash/adopt survives a crash at each step", "crash/put out of the archive survives a crash at each step"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, obj.Path, []byte("tw"))
			}
			return r, err
		}
	}},
	{"loses the mark in a crash", []string{"crash/set metadata survives a crash at each step"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
			now, err := b.Adapter.SetMetadata(ctx, r, m, title, md)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, r.Path, []byte("one"))
			}
			return now, err
		}
	}},
	{"leaves something behind in a crash", []string{"crash/delete survives a crash at each step", "crash/archive survives a crash at each step", "crash/delete from the archive survives a crash at each step"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
			now, err := b.Adapter.Retire(ctx, r, m, mode)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, "left of "+m.AssetID, nil)
			}
			return now, err
		}
	}},
}

// checksBeforeTheBody makes b miss workers that come during the body.
func checksBeforeTheBody(b *broken) {
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

// overMarked puts over a marked object when may is set.
func overMarked(ctx context.Context, b *broken, obj dam.Object, current dam.Remote, may bool) (dam.Remote, error) {
	r, err := b.Adapter.Put(ctx, obj, current)
	if seen, lookErr := b.store.Look(ctx, obj.Path); may && errors.Is(err, dam.ErrForeign) && lookErr == nil && seen.Title != "" {
		_ = b.store.Remove(ctx, obj.Path)
		return b.Adapter.Put(ctx, obj, current)
	}
	return r, err
}
