package filesystem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/sidecar"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	instance = "inst-1"
	target   = "brand"
)

func open(t testing.TB, root string) *Adapter {
	t.Helper()
	a, err := New(map[string]any{"root": root}, target, instance)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

func opens(body string) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return dam.Opener(int64(len(body)), sum(body), func(_ context.Context, at int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body[at:])), nil
	})
}

// once opens s itself.
func once(s *dam.Source) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return func(context.Context, dam.Checkpoint) (*dam.Source, error) { return s, nil }
}

// object is asset id at path with body as content and version.
func object(id, path, body string, generation int64) dam.Object {
	return dam.Object{
		Mark: dam.OwnerMark{
			Instance: instance, Target: target, AssetID: id, Version: "v-" + body,
			Size: dam.UnknownSize, MetadataHash: "h1", Generation: generation,
		},
		Path: path, Title: "Title of " + id, MIMEType: "image/png",
		Metadata: dam.Metadata{"alt": "<a & b>", "tags": []any{"x", "y"}},
		Open:     opens(body),
	}
}

func mark(id string, generation int64) dam.OwnerMark {
	return dam.OwnerMark{Instance: instance, Target: target, AssetID: id, Generation: generation, MetadataHash: "h2"}
}

func key(id string) dam.Key { return dam.Key{Instance: instance, AssetID: id} }

func mustPut(t testing.TB, a *Adapter, obj dam.Object, current dam.Remote) dam.Remote {
	t.Helper()
	r, err := a.Put(t.Context(), obj, current)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// memoryDir returns a temporary directory in memory where the system has one, so that
// tests that sync thousands of files do not wait for a disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "damsync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// files returns every file under root that is not the adapter's own, with its content;
// sidecars are reduced to asset and digest.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if rel == stateDir {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		raw, err := os.ReadFile(p)
		all[rel] = string(raw)
		var c sidecar.Document
		if strings.HasSuffix(rel, sidecar.Suffix) && json.Unmarshal(raw, &c) == nil && c.AssetID != "" {
			all[rel] = c.AssetID + " " + c.SHA256
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantFiles(t testing.TB, root string, want map[string]string) {
	t.Helper()
	if diff := gocmp.Diff(want, files(t, root)); diff != "" {
		t.Errorf("files under the root (-want +got):\n%s", diff)
	}
}

func write(t testing.TB, root, path, body string) {
	t.Helper()
	p := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantClass(t testing.TB, err error, want dam.Class) {
	t.Helper()
	if got := dam.Classify(err); got != want {
		t.Errorf("class %q, want %q: %v", got, want, err)
	}
}

func TestLifeOfAnObject(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	if err := a.Check(ctx, false); err != nil {
		t.Fatal(err)
	}

	r := mustPut(t, a, object("A", "x/y/a.png", "one", 1), dam.Remote{State: dam.Absent})
	if r.State != dam.Present || r.Path != "x/y/a.png" || r.Mark.SHA256 != sum("one") || r.Mark.Size != 3 {
		t.Errorf("put returned %+v", r)
	}
	wantFiles(t, root, map[string]string{"x/y/a.png": "one", "x/y/a.png.damsync.json": "A " + sum("one")})

	r = mustPut(t, a, object("A", "x/z/b.png", "two!", 2), r)
	wantFiles(t, root, map[string]string{"x/z/b.png": "two!", "x/z/b.png.damsync.json": "A " + sum("two!")})
	if _, err := os.Stat(filepath.Join(root, "x/y")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory left empty still exists: %v", err)
	}

	r, err := a.Move(ctx, r, mark("A", 3), "c.png")
	if err != nil {
		t.Fatal(err)
	}
	r, err = a.SetMetadata(ctx, r, mark("A", 4), "New title", dam.Metadata{"alt": "new"})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string]string{"c.png": "two!", "c.png.damsync.json": "A " + sum("two!")})

	r, err = a.Retire(ctx, r, mark("A", 5), dam.RetireArchive)
	if err != nil || r.State != dam.Archived || r.Path != "c.png" {
		t.Fatalf("archive returned %+v, %v", r, err)
	}
	wantFiles(t, root, map[string]string{".archive/c.png": "two!", ".archive/c.png.damsync.json": "A " + sum("two!")})

	if r, err = a.Move(ctx, r, mark("A", 6), "d/c.png"); err != nil || r.State != dam.Present {
		t.Fatalf("move out of the archive returned %+v, %v", r, err)
	}
	wantFiles(t, root, map[string]string{"d/c.png": "two!", "d/c.png.damsync.json": "A " + sum("two!")})

	if r, err = a.Retire(ctx, r, mark("A", 7), dam.RetireDelete); err != nil || r.State != dam.Absent {
		t.Fatalf("delete returned %+v, %v", r, err)
	}
	wantFiles(t, root, map[string]string{})
	if r, err = a.Find(ctx, key("A"), nil); err != nil || r.State != dam.Absent || r.Mark.Generation != 7 {
		t.Errorf("find after delete returned %+v, %v", r, err)
	}
	if _, err = a.Put(ctx, object("A", "late.png", "late", 6), r); !errors.Is(err, dam.ErrStale) {
		t.Errorf("a late put of a lower generation: %v", err)
	}
}
