package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestResyncWithoutDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{})
	r := s.run("resync").wantCode(t, 0).wantText(t, "all targets are in sync", "60 assets")
	if err := s.differs(); err != nil {
		t.Error(err)
	}
	if strings.ContainsAny(r.all(), "\r\x1b") {
		t.Errorf("terminal control codes where no terminal is: %q", r.all())
	}
	before := snapshot(t, s.root)
	s.run("resync").wantCode(t, 0)
	if diff := gocmp.Diff(before, snapshot(t, s.root)); diff != "" {
		t.Errorf("a resync without a change touched files: %s", diff)
	}
}

func TestResyncBesideDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{schedule: `{incremental: "", sweep: ""}`})
	s.serve()
	s.equal()
	s.sim.add("Unannounced", "/Brand")
	s.sim.edit("delete_asset", M{"id": s.anyWanted()})
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
}

// anyWanted returns an asset that belongs to the target, the same each time.
func (s *site) anyWanted() string {
	s.t.Helper()
	var ids []string
	for id := range s.sim.wanted() {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		s.t.Fatal("the library has nothing for the target")
	}
	return slices.Min(ids)
}

func TestResyncOneAsset(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("resync").wantCode(t, 0)
	one := s.sim.add("One", "/Brand")
	s.sim.add("Other", "/Brand")
	s.run("resync", "--asset", one).wantCode(t, 0)
	have, err := s.files()
	if err != nil || have[one].AssetID == "" || len(have) != len(s.sim.wanted())-1 {
		t.Errorf("%d of %d are there, the one is %t, %v", len(have), len(s.sim.wanted()), have[one].AssetID != "", err)
	}
	s.sim.edit("delete_asset", M{"id": one})
	s.run("resync", "--asset", one).wantCode(t, 0)
	if have, err := s.files(); err != nil || have[one].AssetID != "" {
		t.Errorf("a deleted asset is still there: %v", err)
	}
	s.run("resync", "--asset", "no-such-asset").wantCode(t, 1).wantText(t, "no-such-asset")
}

func twoTargets(s *site) string {
	var b strings.Builder
	for _, name := range []string{"one", "two"} {
		fmt.Fprintf(&b, "\n  - name: %s\n    adapter: filesystem\n    options: {root: %q}%s", name, filepath.Join(s.dir, name), defaultTarget+noLimit)
	}
	return b.String()
}

func TestResyncOneTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.configure(func(c *settings) { c.targets = twoTargets(s) })
	s.run("resync", "--target", "one").wantCode(t, 0)
	if _, err := os.Stat(filepath.Join(s.dir, "two")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other target was pushed to: %v", err)
	}
	if have, err := filesIn(filepath.Join(s.dir, "one")); err != nil || len(have) != len(s.sim.wanted()) {
		t.Errorf("%d files, want %d: %v", len(have), len(s.sim.wanted()), err)
	}
	s.run("resync", "--target", "three").wantCode(t, 2).wantText(t, `no target "three"`, "one", "two")
	s.run("resync").wantCode(t, 0)
	if have, err := filesIn(filepath.Join(s.dir, "two")); err != nil || len(have) != len(s.sim.wanted()) {
		t.Errorf("%d files, want %d: %v", len(have), len(s.sim.wanted()), err)
	}
}

// snapshot returns every file below dir with its size and time.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		out[path] = fmt.Sprint(info.Size(), info.ModTime())
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	r := s.run("resync", "--dry-run").wantCode(t, 0).wantText(t, "dry run: nothing was changed")
	if st := s.status(); st.Mirror.Assets != 0 || st.Targets[0].Desired != 0 {
		t.Errorf("the mirror was written: %+v", st)
	}
	if files := snapshot(t, s.root); len(files) > 0 {
		t.Errorf("files were made: %v", files)
	}
	if !strings.Contains(r.stdout, "read") {
		t.Errorf("it does not say what it would do: %s", r)
	}

	s.run("resync").wantCode(t, 0)
	id, before := s.anyWanted(), snapshot(t, s.root)
	s.sim.edit("move_asset", M{"id": id, "folder": "/Brand/Icons"})
	s.sim.add("Not yet", "/Brand")
	s.run("resync", "--dry-run").wantCode(t, 0).wantText(t, id, "Not yet")
	s.run("resync", "--dry-run", "--asset", id).wantCode(t, 0).wantText(t, "move", "Brand/Icons/")
	if diff := gocmp.Diff(before, snapshot(t, s.root)); diff != "" {
		t.Errorf("files changed: %s", diff)
	}
	if st := s.status(); st.Mirror.Assets != 40 || st.Targets[0].Pending != 0 {
		t.Errorf("the mirror was written: %+v", st)
	}
}

// --full finds an edit that neither moves modified_at nor sends a webhook.
func TestResyncFull(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("resync").wantCode(t, 0)
	s.sim.post("/behavior", M{"silent_details": true})
	id := s.anyWanted()
	s.sim.edit("set_detail", M{"id": id, "detail": M{"alt_text": "Seen by a full resync"}})
	s.run("resync", "--full").wantCode(t, 0)
	have, err := s.files()
	if err != nil || have[id].Metadata["alt"] != "Seen by a full resync" {
		t.Errorf("%v %v", have[id].Metadata, err)
	}
}

func TestPlanShowsWhatIsLeftToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("plan").wantCode(t, 0).wantText(t, "the mirror is empty")
	s.run("resync").wantCode(t, 0)
	s.run("plan").wantCode(t, 0).wantText(t, "nothing to do")
	// The rule changes: everything moves.
	s.configure(func(c *settings) {
		c.target = strings.Replace(defaultTarget, "{asset.folder}/", "moved/{asset.folder}/", 1)
	})
	requests := s.sim.requests("/v3/")
	before := snapshot(t, s.root)
	n := len(s.sim.wanted())
	s.run("plan").wantCode(t, 0).wantText(t, "move", "moved/Brand", fmt.Sprintf("brand: %d move", n))
	r := s.run("plan", "--json").wantCode(t, 0)
	if !json.Valid([]byte(r.stdout)) {
		t.Errorf("not JSON: %s", r)
	}
	if got := strings.Count(r.stdout, `"op":"move"`); got != n {
		t.Errorf("%d moves in JSON, want %d: %s", got, n, r)
	}
	if diff := gocmp.Diff(before, snapshot(t, s.root)); diff != "" {
		t.Errorf("plan touched files: %s", diff)
	}
	if after := s.sim.requests("/v3/"); after != requests {
		t.Errorf("plan sent %d requests", after-requests)
	}
}
