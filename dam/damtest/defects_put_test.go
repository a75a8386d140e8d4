package damtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"golang.org/x/text/unicode/norm"

	"damsync/dam"
)

// putDefects break what is promised of objects, their names, bodies and metadata.
var putDefects = []defect{
	{"overwrites another asset", []string{"put/another's place"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassConflict {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"forgets the mark", []string{"put/create"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			r.Mark = dam.Mark{Generation: r.Mark.Generation}
			return r, err
		}
	}},
	{"seals without a digest", []string{"put/create"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			r.Mark.SHA256 = ""
			return r, err
		}
	}},
	{"loses metadata", []string{"put/create"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Metadata = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"leaves the old place", []string{"put/new version elsewhere"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err == nil && current.State == dam.Present && current.Path != obj.Path {
				_ = b.store.Write(ctx, current.Path, []byte("old"))
			}
			return r, err
		}
	}},
	{"writes again what is the same", []string{"put/the same again"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, obj.Mark.Key(), nil)
			if err == nil && r.State == dam.Present && r.Mark.Generation == obj.Mark.Generation {
				current.State = dam.Incomplete
				_, _ = b.Adapter.Move(ctx, r, r.Mark, obj.Path+".temporary")
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"leaves something at a check", []string{"put/check leaves nothing"}, func(b *broken) {
		b.check = func(ctx context.Context, populated bool) error {
			return errors.Join(b.Adapter.Check(ctx, populated), b.store.Write(ctx, ".damsync-canary", nil))
		}
	}},
	{"claims a capability it has not", []string{"put/describe"}, func(b *broken) {
		b.describe = func(c dam.Capabilities) dam.Capabilities {
			c.MinPartBytes = 0
			return c
		}
	}},
	{"spells a promised digest in capitals", []string{"put/create with the digest known"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if obj.Mark.SHA256 != "" {
				r.Mark.SHA256 = strings.ToUpper(r.Mark.SHA256)
			}
			return r, err
		}
	}},
	{"takes no bytes for no file", []string{"put/empty file"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size == 0 {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"wants to know the size", []string{"put/size unknown"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size == dam.UnknownSize {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"keeps the first megabyte", []string{"put/large file"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size > 1<<20 {
				obj.Open = rewritten(obj.Open, func(body []byte) []byte { return body[:1<<20] })
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"describes a new version as the old one", []string{"put/new version"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if seen, err := b.store.Look(ctx, obj.Path); err == nil && current.State == dam.Present {
				obj.Title, obj.Metadata = seen.Title, seen.Metadata
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"forgets every tenth put", []string{"put/many at once"}, func(b *broken) {
		var n atomic.Int64
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if n.Add(1) == 10 {
				return dam.Remote{Path: obj.Path, State: dam.Present, Mark: obj.Mark}, nil
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"folds the case of asset ids", []string{"put/asset ids"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Mark.AssetID = strings.ToLower(obj.Mark.AssetID)
			return b.Adapter.Put(ctx, obj, current)
		}
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			key.AssetID = strings.ToLower(key.AssetID)
			return b.Adapter.Find(ctx, key, hints)
		}
	}},
	{"writes a mark of any target", []string{"put/marks of others"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Mark.Target = "memory"
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"folds case", []string{"names/two names that a target may take for one"}, func(b *broken) {
		b.put = onPath(b, strings.ToLower)
	}},
	{"normalizes names", []string{"names/odd names"}, func(b *broken) { b.put = onPath(b, norm.NFC.String) }},
	{"cuts long names", []string{"names/longest path", "names/longest name"}, func(b *broken) {
		b.put = onPath(b, func(p string) string { return p[:min(len(p), 200)] })
	}},
	{"cleans bad paths", []string{"names/no paths"}, func(b *broken) {
		b.put = onPath(b, func(p string) string { return strings.TrimLeft(strings.ReplaceAll(p, "//", "/"), "/.") })
	}},
	{"makes room for a directory", []string{"names/a file and a directory of one name"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			paths, _ := b.store.Paths(ctx)
			for _, p := range paths {
				if strings.HasPrefix(obj.Path, p+"/") || strings.HasPrefix(p, obj.Path+"/") {
					_ = b.store.Remove(ctx, p)
				}
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"publishes before the end of the body", []string{"body/broken on creation"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				_ = b.store.Write(ctx, obj.Path, []byte("tw"))
			}
			return r, err
		}
	}},
	{"takes any end for the end", []string{"body/broken on replacing"}, func(b *broken) {
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
	{"hides the body's error", []string{"body/does not open"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				err = errors.New("upload failed")
			}
			return r, err
		}
	}},
	{"ignores its context", []string{"body/cancelled"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.Mark, path string) (dam.Remote, error) {
			return b.Adapter.Move(context.WithoutCancel(ctx), r, m, path)
		}
	}},
	{"adopts what a broken body tells", []string{"body/broken on adopting"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Adopt {
				obj.Open = rewritten(obj.Open, func(body []byte) []byte { return body })
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"cuts long metadata", []string{"metadata/kept whole or refused"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Title = obj.Title[:min(len(obj.Title), 255)]
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"merges metadata", []string{"metadata/replaced without bytes"}, func(b *broken) {
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
	{"writes metadata twice", []string{"metadata/the same again"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.Mark, title string, md dam.Metadata) (dam.Remote, error) {
			if _, err := b.Adapter.SetMetadata(ctx, r, m, title+" ", md); err != nil {
				return dam.Remote{}, err
			}
			return b.Adapter.SetMetadata(ctx, r, m, title, md)
		}
	}},
	{"describes what is not there", []string{"metadata/of nothing"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.Mark, title string, md dam.Metadata) (dam.Remote, error) {
			now, err := b.Adapter.SetMetadata(ctx, r, m, title, md)
			if errors.Is(err, dam.ErrNotFound) {
				return r, nil
			}
			return now, err
		}
	}},
	{"promises more room than it has", []string{"metadata/more than described"}, func(b *broken) {
		b.describe = func(c dam.Capabilities) dam.Capabilities {
			c.MaxMetadataBytes *= 2
			return c
		}
	}},
	{"trims metadata", []string{"metadata/every character"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			trimmed := dam.Metadata{}
			for name, value := range obj.Metadata {
				if text, is := value.(string); is {
					value = strings.TrimSpace(text)
				}
				trimmed[name] = value
			}
			obj.Metadata = trimmed
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
}

func onPath(b *broken, change func(string) string) func(context.Context, dam.Object, dam.Remote) (dam.Remote, error) {
	return func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
		obj.Path = change(obj.Path)
		return b.Adapter.Put(ctx, obj, current)
	}
}

// rewritten is the body as edit leaves it, promised to be so.
func rewritten(open func(context.Context, dam.Checkpoint) (*dam.Source, error), edit func([]byte) []byte) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		source, err := open(ctx, from)
		if err != nil {
			return nil, err
		}
		got, _ := io.ReadAll(source)
		return dam.NewSource(bytes.NewReader(edit(got)), dam.UnknownSize, ""), nil
	}
}
