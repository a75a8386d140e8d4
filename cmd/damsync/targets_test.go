package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A foreign file at the path of an asset makes only that asset a conflict. The file is not touched.
func TestForeignFileIsAConflict(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{target: strings.Replace(defaultTarget, "{asset.folder}/{asset.id}-{asset.file_name}", "{asset.id}.png", 1) + noLimit})
	id := s.anyWanted()
	foreign := filepath.Join(s.root, id+".png")
	writeFile(t, foreign, "foreign")
	s.run("resync").wantCode(t, 4).wantText(t, "1 placements")
	if text, err := os.ReadFile(foreign); err != nil || string(text) != "foreign" {
		t.Errorf("the foreign file was touched: %q %v", text, err)
	}
	st := s.status().Targets[0]
	if st.Conflicts != 1 || st.InSync != len(s.sim.wanted())-1 {
		t.Errorf("status %+v, want one conflict and the other %d in sync", st, len(s.sim.wanted())-1)
	}
	s.run("status").wantText(t, id, "foreign")
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	s.run("retry", "--target", "brand").wantCode(t, 0).wantText(t, "1 are due again")
	s.run("resync").wantCode(t, 0)
}

// A directory that cannot be created, because a file has its name, fails one asset.
func TestBlockedPathFailsOneAsset(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{target: strings.Replace(defaultTarget, "{asset.folder}/{asset.id}-{asset.file_name}", "{asset.id}/{asset.file_name}", 1) + noLimit})
	id := s.anyWanted()
	writeFile(t, filepath.Join(s.root, id), "in the way")
	s.run("resync").wantCode(t, 4)
	if st := s.status().Targets[0]; st.Failed+st.Conflicts != 1 || st.InSync != len(s.sim.wanted())-1 {
		t.Errorf("status %+v", st)
	}
}

// Of two assets with the same path, one is stored and the other is a conflict until the first is renamed.
func TestTwoAssetsWithOnePath(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, settings{target: strings.Replace(defaultTarget, "{asset.folder}/{asset.id}-{asset.file_name}", "{asset.title}", 1) + noLimit})
	first, second := s.sim.add("Same", "/Brand"), s.sim.add("Same", "/Brand")
	s.serve()
	eventually(t, "one is stored, the other is a conflict", func() error {
		if st := s.status().Targets[0]; st.InSync != 1 || st.Conflicts != 1 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	have, err := s.files()
	if err != nil || len(have) != 1 {
		t.Fatalf("%v %v", have, err)
	}
	holder, waits := first, second
	if _, ok := have[second]; ok {
		holder, waits = second, first
	}
	s.run("status").wantText(t, waits, holder)
	s.registerWebhook()
	s.sim.edit("edit_title", M{"id": holder, "title": "Other"})
	eventually(t, "both are stored", func() error {
		have, err := s.files()
		if err != nil || have[holder].path == "" || have[waits].path == "" {
			return fmt.Errorf("%v %v", have, err)
		}
		return nil
	})
	have, err = s.files()
	if err != nil || have[holder].Metadata["title"] != "Other" || have[waits].Metadata["title"] != "Same" || have[waits].path == have[holder].path {
		t.Errorf("%v %v", have, err)
	}
}

// Hostile titles get a safe path that does not change, and the sidecar keeps the full title.
func TestHostileTitles(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, settings{target: strings.Replace(defaultTarget, "{asset.folder}/{asset.id}-{asset.file_name}", "{asset.id}/{asset.title}", 1) + noLimit})
	outside := snapshot(t, s.dir)
	titles := []string{
		"../../etc/passwd", "/etc/passwd", "..", ".", " ", "CON", "con.png", "NUL", "a/b\\c", strings.Repeat("😀", 75), strings.Repeat("x", 400) + ".png",
		"tab\tnew\nline", "nul\x00byte", "trailing. ", "é as e\u0301", ".hidden", "-rf", "a.damsync.json", ".archive/x", "\u202egnp.exe", "C:\\x", "~root", "$(id)", "%2e%2e%2f",
	}
	ids := map[string]string{}
	for _, title := range titles {
		ids[s.sim.add(title, "/Brand")] = title
	}
	s.run("resync").wantCode(t, 0)
	have, err := s.files()
	if err != nil {
		t.Fatal(err)
	}
	for id, title := range ids {
		sc, ok := have[id]
		if !ok {
			t.Errorf("title %q has no file", title)
			continue
		}
		if got := sc.Metadata["title"]; got != title && title != "nul\x00byte" {
			t.Errorf("title %q became %q in the sidecar", title, got)
		}
		parts := strings.Split(sc.path, string(filepath.Separator))
		for _, part := range parts {
			if len(part) > 255 || !utf8.ValidString(part) || strings.ContainsAny(part, "\x00\n\t\\:") || part == ".." || strings.HasSuffix(part, ".") {
				t.Errorf("title %q got the path %q", title, sc.path)
			}
		}
		if parts[0] != id {
			t.Errorf("title %q left its folder: %q", title, sc.path)
		}
	}
	before := snapshot(t, s.root)
	s.run("resync", "--full").wantCode(t, 0)
	if after := snapshot(t, s.root); len(after) != len(before) {
		t.Errorf("%d files, then %d", len(before), len(after))
	}
	for path := range snapshot(t, s.dir) {
		if _, was := outside[path]; !was && !strings.HasPrefix(path, s.root+"/") && !strings.HasPrefix(path, filepath.Join(s.dir, "data")) {
			t.Errorf("%s was made outside the root", path)
		}
	}
}

// A root that vanishes or is emptied is an outage, not a new target: damsync waits until it is back.
func TestDaemonWaitsForVanishedRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{schedule: `{incremental: "", sweep: ""}`})
	p := s.serve()
	s.equal()
	s.registerWebhook()
	aside := s.root + ".aside"
	if err := os.Rename(s.root, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.root, 0o755); err != nil { // the empty mount point
		t.Fatal(err)
	}
	s.sim.add("Meanwhile", "/Brand")
	eventually(t, "status shows why nothing is pushed", func() error {
		if r := s.run("status"); !strings.Contains(r.stdout, "is the disk mounted?") {
			return fmt.Errorf("%s", r.stdout)
		}
		return nil
	})
	if st := s.status(); st.Mirror.Assets != 31 {
		t.Errorf("the mirror does not go on: %+v", st.Mirror)
	}
	if files := snapshot(t, s.root); len(files) > 0 {
		t.Errorf("the emptied root was filled: %v", files)
	}
	s.run("check").wantCode(t, 1).wantText(t, "FAIL", "target brand", "is the disk mounted?")
	s.run("resync").wantCode(t, 4)
	if err := os.Remove(s.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, s.root); err != nil {
		t.Fatal(err)
	}
	s.equal() // by itself
	p.stop()
}

// A broken target waits and does not hold up the other one.
func TestBrokenTargetDoesNotStopTheOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{})
	s.configure(func(c *settings) { c.targets = twoTargets(s) })
	writeFile(t, filepath.Join(s.dir, "two"), "not a directory")
	r := s.run("resync").wantCode(t, 4)
	if have, err := filesIn(filepath.Join(s.dir, "one")); err != nil || len(have) != len(s.sim.wanted()) {
		t.Errorf("%d files, want %d: %v\n%s", len(have), len(s.sim.wanted()), err, r)
	}
	s.run("check").wantCode(t, 1).wantText(t, "ok    target one", "FAIL  target two")
	if err := os.Remove(filepath.Join(s.dir, "two")); err != nil {
		t.Fatal(err)
	}
	s.run("retry").wantCode(t, 0)
	s.run("resync").wantCode(t, 0)
}

// A target whose rules name folders or labels that the library does not have does not run, and status names them.
// The other target runs.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{})
	bad := strings.NewReplacer("/Brand/**", "/Brnad/**", "Status: [Approved]", "Status: [Aproved], Audiense: [x]").Replace(defaultTarget)
	s.configure(func(c *settings) { c.targets = strings.Replace(twoTargets(s), defaultTarget, bad, 1) })
	s.run("check").wantCode(t, 1).wantText(t, `no folder "/Brnad"`, `"Aproved"`, `"Audiense"`, "names that target one refers to", "ok    target two", "ok    names that target two")
	p := s.serve()
	eventually(t, "the good target is filled", func() error {
		have, err := filesIn(filepath.Join(s.dir, "two"))
		if err != nil || len(have) != len(s.sim.wanted()) {
			return fmt.Errorf("%d files of %d, %w", len(have), len(s.sim.wanted()), err)
		}
		return nil
	})
	if have, _ := filesIn(filepath.Join(s.dir, "one")); len(have) != 0 {
		t.Errorf("the target with unknown names was filled: %v", have)
	}
	for _, want := range []string{"Brnad", "Aproved", "Audiense"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("serve does not name %s: %s", want, p.stderr)
		}
	}
	s.run("status").wantText(t, "target one does not run", "Brnad")
	s.run("resync").wantCode(t, 1).wantText(t, "target one does not run", "Brnad")
}

// A target whose rule reads an unknown field does not run.
func TestUnknownField(t *testing.T) {
	t.Parallel()
	s := newSite(t, 10, settings{target: strings.Replace(defaultTarget, "alt: asset.alt_text", `x: 'asset.fields["Rihgts"]'`, 1)})
	s.run("check").wantCode(t, 1).wantText(t, `no field "Rihgts"`, "License Cost")
	s.run("resync").wantCode(t, 1).wantText(t, `no field "Rihgts"`)
}
