package filesystem

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/naming"
	"damsync/dam/sidecar"

	gocmp "github.com/google/go-cmp/cmp"
)

// inventory returns every entry under root, the adapter's own included, with inode
// and modification time: equal inventories mean that nothing was written.
func inventory(t *testing.T, root string) map[string][3]int64 {
	t.Helper()
	all := map[string][3]int64{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[p] = [3]int64{int64(info.Sys().(*syscall.Stat_t).Ino), info.ModTime().UnixNano(), info.Size()}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRepeatedCallsWriteNothing(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	r := mustPut(t, a, object("A", "d/a.png", "one", 1), dam.Remote{})
	gone := mustPut(t, a, object("B", "b.png", "two", 1), dam.Remote{})
	for range 2 {
		if _, err := a.Retire(ctx, gone, mark("B", 2), dam.RetireDelete); err != nil {
			t.Fatal(err)
		}
	}
	before := inventory(t, root)

	obj := object("A", "d/a.png", "one", 1)
	obj.Open = once(dam.NewSource(unreadable{t}, 3, ""))
	again := mustPut(t, a, obj, r)
	if diff := gocmp.Diff(r, again); diff != "" {
		t.Errorf("second put returned something else (-first +second):\n%s", diff)
	}
	if _, err := a.Move(ctx, r, mark("A", 1), "d/a.png"); err != nil {
		t.Error(err)
	}
	if _, err := a.Retire(ctx, gone, mark("B", 2), dam.RetireDelete); err != nil {
		t.Error(err)
	}
	if err := a.Check(ctx, true); err != nil {
		t.Error(err)
	}
	if _, err := a.Find(ctx, key("A"), []string{"d/a.png", "elsewhere"}); err != nil {
		t.Error(err)
	}
	if diff := gocmp.Diff(before, inventory(t, root)); diff != "" {
		t.Errorf("something was written (-before +after):\n%s", diff)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read although its bytes exist")
	return 0, io.EOF
}

func TestSameBytesElsewhereAreMovedNotRead(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	r := mustPut(t, a, object("A", "d/a.png", "one", 1), dam.Remote{})
	obj := object("A", "e/a.png", "one", 2)
	obj.Title, obj.Open = "Another", once(dam.NewSource(unreadable{t}, 3, ""))
	mustPut(t, a, obj, r)
	wantFiles(t, root, map[string]string{"e/a.png": "one", "e/a.png.damsync.json": "A " + sum("one")})
}

func TestForeignObjectsAreNeverTouched(t *testing.T) {
	other, err := New(map[string]any{"root": "unused"}, "other", instance)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, there := range []string{"a.png", "a.png.damsync.json", "other target"} {
		t.Run(there, func(t *testing.T) {
			root := t.TempDir()
			if other.root = root; there == "other target" {
				obj := object("A", "a.png", "foreign", 1)
				obj.Mark.Target = "other"
				mustPut(t, other, obj, dam.Remote{})
			} else {
				write(t, root, there, `{"not": "ours"}`)
			}
			before := files(t, root)

			a := open(t, root)
			r, err := a.Find(ctx, key("A"), []string{"a.png"})
			if err != nil || r.State != dam.Foreign {
				t.Errorf("find returned %+v, %v", r, err)
			}
			_, err = a.Put(ctx, object("A", "a.png", "one", 1), r)
			wantClass(t, err, dam.ClassForeign)
			_, err = a.SetMetadata(ctx, r, mark("A", 1), "t", nil)
			wantClass(t, err, dam.ClassNotFound)
			_, err = a.Move(ctx, r, mark("A", 1), "b.png")
			wantClass(t, err, dam.ClassNotFound)
			for _, mode := range a.Describe().Retire {
				if r, err := a.Retire(ctx, r, mark("A", 2), mode); err != nil || r.State != dam.Absent {
					t.Errorf("%s returned %+v, %v", mode, r, err)
				}
			}
			wantFiles(t, root, before)

			elsewhere := mustPut(t, a, object("A", "b.png", "one", 3), dam.Remote{})
			_, err = a.Move(ctx, elsewhere, mark("A", 4), "a.png")
			wantClass(t, err, dam.ClassForeign)
			before["b.png"], before["b.png.damsync.json"] = "one", "A "+sum("one")
			wantFiles(t, root, before)
		})
	}
}

// Files of ours that a person removed leave a record behind. The same bytes that
// appear in their place later are not ours.
func TestSameBytesInAnOldPlaceAreForeign(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	remove := func() {
		for _, p := range []string{"a.png", "a.png.damsync.json"} {
			if err := os.Remove(filepath.Join(root, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	remove()
	mustPut(t, a, object("B", "a.png", "one", 1), dam.Remote{})
	r, err := a.Find(ctx, key("A"), []string{"a.png"})
	if err != nil || r.State != dam.Absent {
		t.Errorf("with another asset in the place, find returned %+v, %v", r, err)
	}
	mustPut(t, a, object("A", "c.png", "one", 2), r)
	if _, err := a.Retire(ctx, r, mark("A", 3), dam.RetireDelete); err != nil {
		t.Error(err)
	}
	wantFiles(t, root, map[string]string{"a.png": "one", "a.png.damsync.json": "B " + sum("one")})

	remove()
	write(t, root, "a.png", "one")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(root, "a.png"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Retire(ctx, dam.Remote{Path: "a.png"}, mark("B", 2), dam.RetireDelete); err != nil {
		t.Error(err)
	}
	wantFiles(t, root, map[string]string{"a.png": "one"})
}

// A foreign file may appear between the look and the rename.
func TestForeignFileThatAppearsBeforeTheRenameStays(t *testing.T) {
	for name, lacking := range map[string]string{"exclusive rename": "", "link": "rename to a new name"} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			a := open(t, root)
			last := "rename to a new name"
			if lacking != "" {
				last = "link"
			}
			a.fault = func(step string) error {
				if step == last {
					write(t, root, "a.png", "foreign")
				}
				if step == lacking {
					return errors.ErrUnsupported
				}
				return nil
			}
			_, err := a.Put(t.Context(), object("A", "a.png", "foreign", 1), dam.Remote{})
			wantClass(t, err, dam.ClassForeign)
			r, err := open(t, root).Find(t.Context(), key("A"), []string{"a.png"})
			if err != nil || r.State != dam.Foreign {
				t.Errorf("find returned %+v, %v", r, err)
			}
			if _, err := open(t, root).Retire(t.Context(), r, mark("A", 2), dam.RetireDelete); err != nil {
				t.Error(err)
			}
			wantFiles(t, root, map[string]string{"a.png": "foreign"})
			if left, _ := filepath.Glob(filepath.Join(root, a.home.tempDir(), "*")); len(left) != 0 {
				t.Errorf("left in tmp: %v", left)
			}
		})
	}
}

func TestPathOfAnotherAssetIsAConflict(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	mustPut(t, a, object("B", "b.png", "bee", 1), dam.Remote{})
	r := mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	before := files(t, root)
	for _, p := range []string{"b.png", "b.png/below.png"} {
		_, putErr := a.Put(ctx, object("A", p, "two", 2), r)
		_, moveErr := a.Move(ctx, r, mark("A", 2), p)
		for _, err := range []error{putErr, moveErr} {
			var conflict *dam.Conflict
			if !errors.As(err, &conflict) || conflict.Holder != "B" || conflict.Path != "b.png" {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	wantFiles(t, root, before)
}

func TestArchiveKeepsTwoAssetsOfOnePathApart(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	for _, id := range []string{"A", "../B"} {
		r := mustPut(t, a, object(id, "d/a.png", "of "+id, 1), dam.Remote{})
		if r, err := a.Retire(t.Context(), r, mark(id, 2), dam.RetireArchive); err != nil || r.State != dam.Archived {
			t.Fatalf("archive %s: %+v, %v", id, r, err)
		}
	}
	second := ".archive/" + naming.Segment("../B") + "/d/a.png"
	wantFiles(t, root, map[string]string{
		".archive/d/a.png": "of A", ".archive/d/a.png.damsync.json": "A " + sum("of A"),
		second: "of ../B", second + sidecar.Suffix: "../B " + sum("of ../B"),
	})
}

func TestLowerGenerationChangesNothing(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	ctx := t.Context()
	r := mustPut(t, a, object("A", "a.png", "one", 5), dam.Remote{})
	before := inventory(t, root)
	_, err := a.Put(ctx, object("A", "b.png", "two", 4), dam.Remote{})
	wantClass(t, err, dam.ClassStale)
	_, err = a.SetMetadata(ctx, r, mark("A", 4), "t", nil)
	wantClass(t, err, dam.ClassStale)
	_, err = a.Move(ctx, r, mark("A", 4), "c.png")
	wantClass(t, err, dam.ClassStale)
	_, err = a.Retire(ctx, r, mark("A", 4), dam.RetireDelete)
	wantClass(t, err, dam.ClassStale)
	if diff := gocmp.Diff(before, inventory(t, root)); diff != "" {
		t.Errorf("something was written (-before +after):\n%s", diff)
	}
}

// The workers have an adapter each, as in processes of their own, and different
// paths.
func TestHighestGenerationWinsARace(t *testing.T) {
	root := memoryDir(t)
	for round := range int64(20) {
		var wg sync.WaitGroup
		gen := round * 4
		for i, body := range []string{"lowest", "low", "high"} {
			wg.Go(func() {
				obj := object("A", body+".png", body, gen+int64(i))
				if _, err := open(t, root).Put(t.Context(), obj, dam.Remote{}); err != nil && !errors.Is(err, dam.ErrStale) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantFiles(t, root, map[string]string{"high.png": "high", "high.png.damsync.json": "A " + sum("high")})
	}
}

// A worker that paused in the middle of its body continues after the object was
// removed.
func TestLateWorkerAfterRemovalIsStale(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	obj := object("A", "a.png", "one", 1)
	obj.Open = once(dam.NewSource(readerFunc(func(p []byte) (int, error) {
		if _, err := a.Retire(t.Context(), dam.Remote{}, mark("A", 2), dam.RetireDelete); err != nil {
			t.Error(err)
		}
		return copy(p, "one"), io.EOF
	}), 3, ""))
	_, err := a.Put(t.Context(), obj, dam.Remote{})
	wantClass(t, err, dam.ClassStale)
	wantFiles(t, root, map[string]string{})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBrokenBodyIsNotPublished(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	r := mustPut(t, a, object("A", "a.png", "one", 1), dam.Remote{})
	for name, body := range map[string]*dam.Source{
		"short":  dam.NewSource(strings.NewReader("tw"), 3, ""),
		"long":   dam.NewSource(strings.NewReader("twoo"), 3, ""),
		"other":  dam.NewSource(strings.NewReader("owt"), 3, sum("two")),
		"failed": dam.NewSource(readerFunc(func([]byte) (int, error) { return 0, syscall.ECONNRESET }), 3, ""),
	} {
		t.Run(name, func(t *testing.T) {
			obj := object("A", "b.png", "two", 2)
			obj.Open = once(body)
			_, err := a.Put(t.Context(), obj, r)
			wantClass(t, err, dam.ClassSource)
		})
	}
	wantFiles(t, root, map[string]string{"a.png": "one", "a.png.damsync.json": "A " + sum("one")})
	if left, _ := filepath.Glob(filepath.Join(root, a.home.tempDir(), "*")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestUnencodableMetadataIsInvalidBeforeTheBody(t *testing.T) {
	root := t.TempDir()
	a := open(t, root)
	obj := object("A", "a.png", "one", 1)
	obj.Metadata, obj.Open = dam.Metadata{"x": make(chan int)}, once(dam.NewSource(unreadable{t}, 3, ""))
	_, err := a.Put(t.Context(), obj, dam.Remote{})
	wantClass(t, err, dam.ClassInvalid)
	_, err = a.SetMetadata(t.Context(), dam.Remote{}, obj.Mark, "t", obj.Metadata)
	wantClass(t, err, dam.ClassInvalid)
}

func TestHostilePathsLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "secret", "foreign")
	root := t.TempDir()
	for name, to := range map[string]string{"out": outside, "up": "..", "file": filepath.Join(outside, "secret"), "void": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	a := open(t, root)
	mine := mustPut(t, a, object("B", "mine.png", "bee", 1), dam.Remote{})
	before := files(t, root)
	for p, class := range map[string]dam.Class{
		"": dam.ClassInvalid, ".": dam.ClassInvalid, "..": dam.ClassInvalid, "../x": dam.ClassInvalid,
		"a/../../x": dam.ClassInvalid, "/etc/x": dam.ClassInvalid, "a//b": dam.ClassInvalid, "a/": dam.ClassInvalid,
		"a\x00b": dam.ClassInvalid, "\xff": dam.ClassInvalid,
		".damsync/lock": dam.ClassInvalid, ".DAMSYNC/x": dam.ClassInvalid, ".archive/x": dam.ClassInvalid,
		"x.damsync.json": dam.ClassInvalid, "x.DamSync.json": dam.ClassInvalid, "x.damsync.json/y": dam.ClassInvalid,
		strings.Repeat("n", 243): dam.ClassInvalid, strings.Repeat("d/", 1800) + "x": dam.ClassInvalid,
		"out/secret": dam.ClassForeign, "out/new": dam.ClassForeign, "out/d/new": dam.ClassForeign, "up/x": dam.ClassForeign,
		"file": dam.ClassForeign, "void": dam.ClassForeign, "void/x": dam.ClassForeign, "out": dam.ClassForeign,
	} {
		_, err := a.Put(t.Context(), object("A", p, "hostile", 1), dam.Remote{State: dam.Absent})
		if got := dam.Classify(err); got != class {
			t.Errorf("put to %q: class %q, want %q: %v", p, got, class, err)
		}
		_, err = a.Move(t.Context(), mine, mark("B", 1), p)
		if got := dam.Classify(err); got != class {
			t.Errorf("move to %q: class %q, want %q: %v", p, got, class, err)
		}
		if r, err := a.Find(t.Context(), key("A"), []string{p}); err != nil || r.State == dam.Present {
			t.Errorf("find with hint %q returned %+v, %v", p, r, err)
		}
		if _, err := a.Retire(t.Context(), dam.Remote{Ref: p, Path: p}, mark("C", 1), dam.RetireDelete); err != nil {
			t.Errorf("retire of %q: %v", p, err)
		}
	}
	wantFiles(t, root, before)
	if got := files(t, outside); len(got) != 1 || got["secret"] != "foreign" {
		t.Errorf("outside the root: %v", got)
	}
}
