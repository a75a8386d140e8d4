package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/sidecar"
)

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		want    []string // what the error says; nothing: no error
	}{
		"root":       {map[string]any{"root": "x"}, nil},
		"create":     {map[string]any{"root": "x", "create": true}, nil},
		"no root":    {nil, []string{`target "brand"`, "option root is missing"}},
		"empty root": {map[string]any{"root": ""}, []string{"option root: want"}},
		"all at once": {
			map[string]any{"rot": "x", "create": "yes", "root": 3},
			[]string{"unknown option rot", "option create: want true or false", "option root: want the path"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.options, target, instance)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("New answered %v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
		})
	}
}

func TestRelativeRoot(t *testing.T) {
	t.Chdir(t.TempDir())
	a, err := New(map[string]any{"root": "out", "create": true}, target, instance)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	if _, err := os.Stat("out/a.png"); err != nil {
		t.Error(err)
	}
}

func TestRootMissing(t *testing.T) {
	ctx := t.Context()
	base := t.TempDir()
	for name, c := range map[string]struct {
		root   string
		create bool
		says   string // empty: usable
	}{
		"without create": {base + "/a", false, "create: false"},
		"create":         {base + "/b", true, ""},
		"no parent":      {base + "/c/d", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := New(map[string]any{"root": c.root, "create": c.create}, target, instance)
			if err != nil {
				t.Fatal(err)
			}
			checkErr := a.Check(ctx, false)
			if _, err := os.Stat(c.root); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the check made the root")
			}
			_, putErr := a.Put(ctx, object("A", "a.png", "one", 1), dam.Remote{})
			for _, err := range []error{checkErr, putErr} {
				if c.says == "" && err != nil {
					t.Error(err)
				} else if c.says != "" {
					wantClass(t, err, dam.ClassUnavailable)
					if !strings.Contains(err.Error(), c.says) {
						t.Errorf("%q is not in %q", c.says, err)
					}
				}
			}
		})
	}
}

// A disk that is not mounted leaves an empty directory, or none. It must not be
// taken for a new target: everything would be pushed to the wrong disk.
func TestVanishedRootIsNotNew(t *testing.T) {
	ctx := t.Context()
	for _, left := range []string{"empty directory", "nothing"} {
		for _, learned := range []string{"from the core", "from the marker"} {
			t.Run(left+" "+learned, func(t *testing.T) {
				root := filepath.Join(t.TempDir(), "root")
				a, err := New(map[string]any{"root": root, "create": true}, target, instance)
				if err != nil {
					t.Fatal(err)
				}
				if learned == "from the marker" {
					mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
					if err := os.RemoveAll(root); err != nil {
						t.Fatal(err)
					}
				}
				if left == "empty directory" {
					write(t, root, "lost+found/x", "")
				}
				wantClass(t, a.Check(ctx, learned == "from the core"), dam.ClassUnavailable)
				_, err = a.Put(ctx, object("A", "a.png", "one", 2), dam.Remote{})
				wantClass(t, err, dam.ClassUnavailable)
				_, err = a.Find(ctx, key("A"), nil)
				wantClass(t, err, dam.ClassUnavailable)
				_, err = a.Retire(ctx, dam.Remote{}, mark("A", 3), dam.RetireDelete)
				wantClass(t, err, dam.ClassUnavailable)

				write(t, root, a.markerPath(), "") // what the error tells to do
				if err := a.Check(ctx, true); err != nil {
					t.Error(err)
				}
				mustPut(t, a, object("A", "a.png", "one", 4), dam.Remote{})
			})
		}
	}
}

// Without its own directory the adapter knows its files by their sidecars.
func TestStateDirectoryLost(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	mustPut(t, a, object("A", "d/a.png", "one", 1), dam.Remote{})
	r := mustPut(t, a, object("B", "b.png", "bee", 1), dam.Remote{})
	if _, err := a.Retire(ctx, r, mark("B", 2), dam.RetireArchive); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, stateDir)); err != nil {
		t.Fatal(err)
	}
	a = open(t, root)
	for id, want := range map[string]dam.State{"A": dam.Present, "B": dam.Archived} {
		r, err := a.Find(ctx, key(id), []string{"elsewhere.png", "d/a.png", "b.png"})
		if err != nil || r.State != want {
			t.Errorf("find %s answered %+v, %v", id, r, err)
		}
		mustPut(t, a, object(id, "new/"+id, "new", 3), r)
	}
	wantFiles(t, root, map[string]string{
		"new/A": "new", "new/A.damsync.json": "A " + sum("new"),
		"new/B": "new", "new/B.damsync.json": "B " + sum("new"),
	})
}

func TestDriftIsIncompleteAndRepaired(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"edited":  func(file string) error { return os.WriteFile(file, []byte("edited"), 0o644) },
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			a := open(t, root)
			mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
			if err := spoil(filepath.Join(root, "a.png")); err != nil {
				t.Fatal(err)
			}
			r, err := a.Find(t.Context(), key("A"), nil)
			if err != nil || r.State != dam.Incomplete {
				t.Errorf("find answered %+v, %v", r, err)
			}
			_, err = a.SetMetadata(t.Context(), r, mark("A", 2), "t", nil)
			wantClass(t, err, dam.ClassNotFound)
			mustPut(t, a, object("A", "a.png", "one", 2), r)
			wantFiles(t, root, map[string]string{"a.png": "one", "a.png.damsync.json": "A " + sum("one")})
		})
	}
}

func TestErrnoClasses(t *testing.T) {
	for errno, class := range map[error]error{
		syscall.ENOSPC: dam.ErrFull, syscall.EDQUOT: dam.ErrFull, syscall.EROFS: dam.ErrReadOnly,
		syscall.EACCES: dam.ErrUnavailable, syscall.EIO: dam.ErrTemporary, syscall.ENAMETOOLONG: dam.ErrInvalid,
	} {
		root := t.TempDir()
		for n := 0; ; n++ { // whichever step meets it
			a := open(t, root)
			met := 0
			a.fault = func(string) error {
				if met++; met == n+1 {
					return &fs.PathError{Op: "write", Path: "x", Err: errno}
				}
				return nil
			}
			_, err := a.Put(t.Context(), object("A", "d/a.png", "one", 1), dam.Remote{})
			if met <= n {
				break
			}
			if err != nil && !errors.Is(err, class) {
				t.Errorf("%v at step %d: %v", errno, n, err)
			}
		}
		wantFiles(t, root, map[string]string{"d/a.png": "one", "d/a.png.damsync.json": "A " + sum("one")})
	}
}

func TestLeftoversAreCleaned(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	yesterday := time.Now().Add(-leftoverAge - time.Hour)
	for name, old := range map[string]bool{"new-OLD": true, "gone-OLD": true, "new-FRESH": false, "not ours": true} {
		p := filepath.Join(a.tempDir(), name)
		write(t, root, p, "x")
		if old {
			if err := os.Chtimes(filepath.Join(root, p), yesterday, yesterday); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustPut(t, open(t, root), object("B", "b.png", "two", 1), dam.Remote{})
	entries, err := os.ReadDir(filepath.Join(root, a.tempDir()))
	if err != nil || len(entries) != 2 || entries[0].Name() != "new-FRESH" || entries[1].Name() != "not ours" {
		t.Errorf("in tmp: %v, %v", entries, err)
	}
}

func TestContextEndsTheWaitForTheLock(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	holder, err := open(t, root).write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = a.Find(ctx, key("A"), nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("find under a held lock: %v", err)
	}
}

func TestSidecarKeys(t *testing.T) {
	root := t.TempDir()
	mustPut(t, open(t, root), object("A", "a.png", "one", 3), dam.Remote{})
	raw, err := os.ReadFile(filepath.Join(root, "a.png.damsync.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "instance": "inst-1",
  "target": "brand",
  "asset_id": "A",
  "version": "v-one",
  "sha256": "` + sum("one") + `",
  "size": 3,
  "generation": 3,
  "path": "a.png",
  "title": "Title of A",
  "mime_type": "image/png",
  "metadata_hash": "h1",
  "metadata": {
    "alt": "<a & b>",
    "tags": [
      "x",
      "y"
    ]
  }
}
`
	if string(raw) != want {
		t.Errorf("sidecar is\n%s", raw)
	}
	info, err := os.Stat(filepath.Join(root, "a.png"))
	if err != nil || info.Mode().Perm()&0o600 != 0o600 || info.Mode().Perm()&0o111 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What somebody renamed, sidecar and all, is told where it is, and goes back to
// its place by Move.
func TestRenamedByHand(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	mustPut(t, a, object("A", "dir/a.png", "one", 1), dam.Remote{})
	for _, suffix := range []string{"", sidecar.Suffix} {
		if err := os.Rename(filepath.Join(root, "dir/a.png"+suffix), filepath.Join(root, "dir/b.png"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	var listed []dam.Remote
	for r, err := range a.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, r)
	}
	if len(listed) != 1 || listed[0].Path != "dir/b.png" || listed[0].State != dam.Present {
		t.Fatalf("listed %+v", listed)
	}
	back, err := a.Move(t.Context(), listed[0], mark("A", 2), "dir/a.png")
	if err != nil || back.Path != "dir/a.png" || back.State != dam.Present {
		t.Fatalf("moved back: %+v, %v", back, err)
	}
	if body, err := os.ReadFile(filepath.Join(root, "dir/a.png")); err != nil || string(body) != "one" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := os.Stat(filepath.Join(root, "dir/b.png")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was renamed is still there: %v", err)
	}
}
