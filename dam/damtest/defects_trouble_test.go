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

// troubleDefects break what is promised when workers race, processes die, uploads break off and places are taken.
var troubleDefects = []defect{
	{"ignores generations", []string{"generations/lower changes nothing"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrStale) {
				obj.Mark.Generation += 1000
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"looks at generations only beforehand", []string{"generations/late worker", "generations/late worker replacing", "generations/late worker at a new place", "generations/late worker after removal"}, looksBeforehand},
	{"looks only beforehand in a race", []string{"generations/workers racing"}, looksBeforehand},
	{"looks only beforehand in a race elsewhere", []string{"generations/workers racing to other places"}, looksBeforehand},
	{"forgets what was removed", []string{"generations/lower after removal"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if r.State == dam.Absent {
				r.Mark.Generation = 0
			}
			return r, err
		}
	}},
	{"overwrites what is foreign", []string{"foreign/in the place"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"adopts whatever is there", []string{"foreign/not adopted when another"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if obj.Adopt && errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"never adopts", []string{"foreign/adopted when the same"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Adopt = false
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"moves over what is foreign", []string{"foreign/in the place of a move"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if errors.Is(err, dam.ErrForeign) {
				_ = b.store.Remove(ctx, path)
				return b.Adapter.Move(ctx, r, m, path)
			}
			return now, err
		}
	}},
	{"looks for what is foreign only beforehand", []string{"foreign/comes during the upload"}, func(b *broken) {
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
	{"takes every mark for its own", []string{"foreign/another installation's"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			return overMarked(ctx, b, obj, current, true)
		}
	}},
	{"adopts what others have marked", []string{"foreign/of another installation is never adopted"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			return overMarked(ctx, b, obj, current, obj.Adopt)
		}
	}},
	{"begins uploads anew", []string{"resume/goes on where it broke off"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload.Session = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never saves a session", []string{"resume/in another process"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Upload = dam.Upload{}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"resumes with another content", []string{"resume/not with another content"}, func(b *broken) {
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
	{"fails on a session it cannot read", []string{"resume/not with a spoilt session"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if s := obj.Upload.Session; len(s) > 0 && !json.Valid(s) {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"never begins anew", []string{"resume/from the beginning when the content asks"}, func(b *broken) {
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
	{"publishes what it could not save", []string{"resume/without a place to save"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassUnknown && obj.Upload.Save != nil {
				_ = b.store.Write(ctx, obj.Path, []byte("content"))
			}
			return r, err
		}
	}},
	{"abandons more than the upload", []string{"resume/abandoned"}, func(b *broken) {
		b.abandon = func(ctx context.Context, session []byte) {
			b.Adapter.Abandon(ctx, session)
			_ = b.store.Remove(ctx, "b.png")
		}
	}},
	{"leaves what a failed put began", []string{"trouble/failing for a moment"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err != nil {
				err = errors.Join(err, b.store.Write(ctx, obj.Path+".part", nil))
			}
			return r, err
		}
	}},
	{"takes trouble for absence", []string{"trouble/failing"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			if errors.Is(err, dam.ErrTemporary) {
				return dam.Remote{State: dam.Absent}, nil
			}
			return r, err
		}
	}},
	{"takes throttling for a fault of the object", []string{"trouble/throttled"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassThrottled {
				err = dam.ErrInvalid
			}
			return r, err
		}
	}},
	{"lists on after a failure", []string{"trouble/failing"}, func(b *broken) {
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
	{"doubles when it is killed", []string{"crash/move, killed at each step", "crash/move out of the archive, killed at each step"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			now, err := b.Adapter.Move(ctx, r, m, path)
			if err != nil && dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, path, []byte("one"))
			}
			return now, err
		}
	}},
	{"publishes half a body when it is killed", []string{"crash/create, killed at each step", "crash/replace, killed at each step", "crash/replace elsewhere, killed at each step", "crash/adopt, killed at each step", "crash/put out of the archive, killed at each step"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, obj.Path, []byte("tw"))
			}
			return r, err
		}
	}},
	{"loses the mark when it is killed", []string{"crash/set metadata, killed at each step"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.Mark, title string, md dam.Metadata) (dam.Remote, error) {
			now, err := b.Adapter.SetMetadata(ctx, r, m, title, md)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, r.Path, []byte("one"))
			}
			return now, err
		}
	}},
	{"leaves a rest when it is killed", []string{"crash/delete, killed at each step", "crash/archive, killed at each step", "crash/delete from the archive, killed at each step"}, func(b *broken) {
		b.retire = func(ctx context.Context, r dam.Remote, m dam.Mark, mode dam.RetireMode) (dam.Remote, error) {
			now, err := b.Adapter.Retire(ctx, r, m, mode)
			if dam.Classify(err) == dam.ClassUnknown {
				_ = b.store.Write(ctx, "rest of "+m.AssetID, nil)
			}
			return now, err
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

// overMarked puts over what carries somebody's mark, when it may.
func overMarked(ctx context.Context, b *broken, obj dam.Object, current dam.Remote, may bool) (dam.Remote, error) {
	r, err := b.Adapter.Put(ctx, obj, current)
	if seen, lookErr := b.store.Look(ctx, obj.Path); may && errors.Is(err, dam.ErrForeign) && lookErr == nil && seen.Title != "" {
		_ = b.store.Remove(ctx, obj.Path)
		return b.Adapter.Put(ctx, obj, current)
	}
	return r, err
}
