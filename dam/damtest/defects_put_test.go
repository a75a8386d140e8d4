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

// putDefects break the promises about objects, their names, bodies and metadata.
var putDefects = []defect{
	{"overwrites another asset", []string{"put/another asset's path is a conflict"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if dam.Classify(err) == dam.ClassConflict {
				_ = b.store.Remove(ctx, obj.Path)
				return b.Adapter.Put(ctx, obj, current)
			}
			return r, err
		}
	}},
	{"forgets the mark", []string{"put/creates an object"}, func(b *broken) {
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, key, hints)
			r.Mark = dam.OwnerMark{Generation: r.Mark.Generation}
			return r, err
		}
	}},
	{"seals without a digest", []string{"put/creates an object"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			r.Mark.SHA256 = ""
			return r, err
		}
	}},
	{"loses metadata", []string{"put/creates an object"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Metadata = nil
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"leaves the old place", []string{"put/replaces at another path"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if err == nil && current.State == dam.Present && current.Path != obj.Path {
				_ = b.store.Write(ctx, current.Path, []byte("old"))
			}
			return r, err
		}
	}},
	{"writes the same again", []string{"put/repeating a put writes nothing"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Find(ctx, obj.Mark.Key(), nil)
			if err == nil && r.State == dam.Present && r.Mark.Generation == obj.Mark.Generation {
				current.State = dam.Incomplete
				_, _ = b.Adapter.Move(ctx, r, r.Mark, obj.Path+".temporary")
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"leaves something behind at a check", []string{"put/check leaves nothing behind"}, func(b *broken) {
		b.check = func(ctx context.Context, populated bool) error {
			return errors.Join(b.Adapter.Check(ctx, populated), b.store.Write(ctx, ".damsync-canary", nil))
		}
	}},
	{"claims a capability it does not have", []string{"put/capabilities are consistent"}, func(b *broken) {
		b.describe = func(c dam.Capabilities) dam.Capabilities {
			c.MinPartBytes = 0
			return c
		}
	}},
	{"returns a known digest in capitals", []string{"put/creates with a known digest"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if obj.Mark.SHA256 != "" {
				r.Mark.SHA256 = strings.ToUpper(r.Mark.SHA256)
			}
			return r, err
		}
	}},
	{"rejects an empty file", []string{"put/stores an empty file"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size == 0 {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"needs the size in advance", []string{"put/stores a body of unknown size"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size == dam.UnknownSize {
				return dam.Remote{}, dam.ErrInvalid
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"keeps only the first megabyte", []string{"put/stores a large file"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Mark.Size > 1<<20 {
				obj.Open = rewritten(obj.Open, func(body []byte) []byte { return body[:1<<20] })
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"keeps the metadata of the old version", []string{"put/replaces content and metadata"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if seen, err := b.store.Look(ctx, obj.Path); err == nil && current.State == dam.Present {
				obj.Title, obj.Metadata = seen.Title, seen.Metadata
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"loses the tenth put", []string{"put/stores many objects concurrently"}, func(b *broken) {
		var n atomic.Int64
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if n.Add(1) == 10 {
				return dam.Remote{Path: obj.Path, State: dam.Present, Mark: obj.Mark}, nil
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"folds the case of asset ids", []string{"put/asset ids are opaque"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Mark.AssetID = strings.ToLower(obj.Mark.AssetID)
			return b.Adapter.Put(ctx, obj, current)
		}
		b.find = func(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
			key.AssetID = strings.ToLower(key.AssetID)
			return b.Adapter.Find(ctx, key, hints)
		}
	}},
	{"accepts marks of other targets", []string{"put/rejects marks of others"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Mark.Target = "memory"
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"folds case", []string{"names/similar names do not collide"}, func(b *broken) {
		b.put = onPath(b, strings.ToLower)
	}},
	{"normalizes names", []string{"names/odd names are kept or rejected"}, func(b *broken) { b.put = onPath(b, norm.NFC.String) }},
	{"cuts long names", []string{"names/accepts the longest path", "names/accepts the longest name"}, func(b *broken) {
		b.put = onPath(b, func(p string) string { return p[:min(len(p), 200)] })
	}},
	{"cleans invalid paths", []string{"names/rejects invalid paths"}, func(b *broken) {
		b.put = onPath(b, func(p string) string { return strings.TrimLeft(strings.ReplaceAll(p, "//", "/"), "/.") })
	}},
	{"removes a file to make a directory", []string{"names/a file and a directory of one name do not collide"}, func(b *broken) {
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
	{"publishes before the end of the body", []string{"body/a broken body creates nothing"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				_ = b.store.Write(ctx, obj.Path, []byte("tw"))
			}
			return r, err
		}
	}},
	{"takes a broken body for a complete one", []string{"body/a broken body replaces nothing"}, func(b *broken) {
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
	{"hides the error of the body", []string{"body/the error of opening a body is returned"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			r, err := b.Adapter.Put(ctx, obj, current)
			if errors.Is(err, dam.ErrSource) {
				err = errors.New("upload failed")
			}
			return r, err
		}
	}},
	{"ignores its context", []string{"body/cancelling ends a call and changes nothing"}, func(b *broken) {
		b.move = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, path string) (dam.Remote, error) {
			return b.Adapter.Move(context.WithoutCancel(ctx), r, m, path)
		}
	}},
	{"adopts by a broken body", []string{"body/a broken body adopts nothing"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			if obj.Adopt {
				obj.Open = rewritten(obj.Open, func(body []byte) []byte { return body })
			}
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"cuts long metadata", []string{"metadata/large metadata is kept whole or rejected"}, func(b *broken) {
		b.put = func(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
			obj.Title = obj.Title[:min(len(obj.Title), 255)]
			return b.Adapter.Put(ctx, obj, current)
		}
	}},
	{"merges metadata", []string{"metadata/replaces metadata without bytes"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
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
	{"writes metadata twice", []string{"metadata/repeating it writes nothing"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
			if _, err := b.Adapter.SetMetadata(ctx, r, m, title+" ", md); err != nil {
				return dam.Remote{}, err
			}
			return b.Adapter.SetMetadata(ctx, r, m, title, md)
		}
	}},
	{"sets metadata of an absent object", []string{"metadata/an absent object is not found"}, func(b *broken) {
		b.metadata = func(ctx context.Context, r dam.Remote, m dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
			now, err := b.Adapter.SetMetadata(ctx, r, m, title, md)
			if errors.Is(err, dam.ErrNotFound) {
				return r, nil
			}
			return now, err
		}
	}},
	{"claims a higher metadata limit", []string{"metadata/metadata over the limit is rejected"}, func(b *broken) {
		b.describe = func(c dam.Capabilities) dam.Capabilities {
			c.MaxMetadataBytes *= 2
			return c
		}
	}},
	{"trims metadata", []string{"metadata/keeps every character"}, func(b *broken) {
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

// rewritten returns an Object.Open of the edited body, with no promise.
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
