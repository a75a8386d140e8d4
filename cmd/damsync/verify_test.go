package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// verified is the output of damsync verify --json.
type verified struct {
	Targets []struct {
		Name              string
		Listed            int
		Found             map[string]int
		Repaired, Retired int
		Error             string
		Drift             []struct {
			Kind, Path, Differs string
			AssetID             string `json:"asset_id"`
		}
	}
}

func (s *site) verify(code int, args ...string) verified {
	s.t.Helper()
	r := s.run(append([]string{"verify", "--json"}, args...)...).wantCode(s.t, code)
	var v verified
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		s.t.Fatalf("verify --json: %v in %s", err, r)
	}
	return v
}

// wantFound compares the counts of the only target: missing, changed, orphaned, foreign.
func (v verified) wantFound(t *testing.T, missing, changed, orphaned, foreign int) {
	t.Helper()
	if len(v.Targets) != 1 {
		t.Fatalf("%d targets verified", len(v.Targets))
	}
	f := v.Targets[0].Found
	if got, want := []int{f["missing"], f["changed"], f["orphaned"], f["foreign"]}, []int{missing, changed, orphaned, foreign}; !slices.Equal(got, want) {
		t.Errorf("missing, changed, orphaned, foreign are %d, want %d: %+v", got, want, v)
	}
}

// paths returns the sorted paths of the objects at the target.
func (s *site) paths() []string {
	s.t.Helper()
	have, err := s.files()
	if err != nil {
		s.t.Fatal(err)
	}
	var paths []string
	for _, h := range have {
		paths = append(paths, filepath.Join(s.root, h.path))
	}
	slices.Sort(paths)
	return paths
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sameSizeEdit changes the bytes of a file but not its size. A hidden edit keeps the time of the file,
// too, so that only reading it shows the edit.
func sameSizeEdit(t *testing.T, path string, hidden bool) {
	t.Helper()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	body := readFile(t, path)
	body[len(body)-1] ^= 0xff
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if hidden {
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

// Edits that people make in a folder are found and repaired, and their own files are left alone.
func TestVerifyFindsAndRepairsDrift(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{target: defaultTarget + "    on_remove: delete\n" + noLimit})
	s.run("resync").wantCode(t, 0)
	s.verify(0).wantFound(t, 0, 0, 0, 0)

	paths := s.paths()
	gone := s.restored()
	paths = slices.DeleteFunc(paths, func(p string) bool { return p == gone })
	for _, p := range []string{paths[0], paths[0] + ".damsync.json", paths[1]} { // one with its sidecar, one without
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, paths[2], "edited by a person")
	sameSizeEdit(t, paths[3], false)
	if err := os.Rename(paths[4], paths[4]+".moved"); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(s.root, "person", "file.txt")
	writeFile(t, foreign, "theirs")

	v := s.verify(4)
	v.wantFound(t, 3, 2, 1, 2)
	if n := s.count(`SELECT count(*) FROM report.drift`); n != 8 {
		t.Errorf("report.drift has %d rows", n)
	}
	s.verify(0, "--repair").wantFound(t, 3, 2, 1, 2)
	s.verify(0).wantFound(t, 0, 0, 0, 2)
	if n := s.count(`SELECT count(*) FROM report.runs WHERE kind = 'verify' AND state = 'done'`); n != 4 {
		t.Errorf("%d runs of verify are recorded", n)
	}
	if string(readFile(t, foreign)) != "theirs" {
		t.Error("a foreign file was touched")
	}
	for _, p := range []string{foreign, paths[4] + ".moved"} {
		if err := os.Remove(p); err != nil {
			t.Errorf("a foreign file was removed: %v", err)
		}
	}
	s.equal()
}

// An object that a person moved with its mark is reported where it is, and moved back.
func TestVerifyMovesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{target: defaultTarget + noLimit})
	s.run("resync").wantCode(t, 0)
	from, to := s.paths()[0], filepath.Join(s.root, "moved.png")
	for _, suffix := range []string{"", ".damsync.json"} {
		if err := os.Rename(from+suffix, to+suffix); err != nil {
			t.Fatal(err)
		}
	}
	v := s.verify(4)
	v.wantFound(t, 0, 1, 0, 0)
	if d := v.Targets[0].Drift[0]; d.Path != "moved.png" {
		t.Errorf("reported as %+v", d)
	}
	s.verify(0, "--repair").wantFound(t, 0, 1, 0, 0)
	s.verify(0).wantFound(t, 0, 0, 0, 0)
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Errorf("it is still where it was moved to: %v", err)
	}
	s.equal()
}

// An edit that keeps size and time shows only when the bytes are read back. It is repaired although the
// target lists the object as before.
func TestVerifyReadsBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("resync").wantCode(t, 0)
	sameSizeEdit(t, s.paths()[0], true)
	s.run("verify", "--depth", "hash").wantCode(t, 2).wantText(t, "brand", "readback")
	s.verify(0).wantFound(t, 0, 0, 0, 0)
	s.verify(4, "--depth", "readback").wantFound(t, 0, 1, 0, 0)
	s.verify(0, "--depth", "readback", "--repair").wantFound(t, 0, 1, 0, 0)
	s.verify(0, "--depth", "readback").wantFound(t, 0, 0, 0, 0)
	s.equal()
	// The same bytes with another time, as in a restored backup, are no drift.
	body := readFile(t, s.paths()[1])
	if err := os.WriteFile(s.paths()[1], body, 0o600); err != nil {
		t.Fatal(err)
	}
	s.verify(4).wantFound(t, 0, 1, 0, 0)
	s.verify(0, "--depth", "readback").wantFound(t, 0, 0, 0, 0)
	s.verify(0).wantFound(t, 0, 0, 0, 0)
}

// A repair of more objects than removal_limit allows needs --all.
func TestRepairOfAWaveNeedsAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{target: defaultTarget + "    removal_limit: {count: 1, percent: 100}\n"})
	s.run("resync").wantCode(t, 0)
	for _, p := range s.paths()[:2] {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.sim.wanted())
	r := s.run("verify", "--repair").wantCode(t, 5).wantText(t, "--repair --all", "2 objects")
	if have := s.count(`SELECT count(*) FROM damsync.placement WHERE desired_generation > applied_generation`); have != 0 {
		t.Errorf("%d placements were changed: %s", have, r)
	}
	s.verify(0, "--repair", "--all").wantFound(t, 2, 0, 0, 0)
	s.equal()
	if n := len(s.paths()); n != before {
		t.Errorf("%d files, want %d", n, before)
	}
}

// An empty folder that should have files may be the wrong folder. Nothing is inferred without --all.
func TestVerifyOfAnEmptyTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("resync").wantCode(t, 0)
	if err := os.RemoveAll(s.root); err != nil {
		t.Fatal(err)
	}
	s.run("verify", "--repair").wantCode(t, 1).wantText(t, "brand")
	if n := s.count(`SELECT count(*) FROM report.drift`); n != 0 {
		t.Errorf("%d rows of drift were inferred", n)
	}
	s.verify(0, "--repair", "--all")
	s.equal()
	s.verify(0).wantFound(t, 0, 0, 0, 0)
}

// An object that the database does not know, as after a restore from an older copy, is not removed: the
// library still has its asset.
func TestVerifyAsksTheLibraryAboutOrphans(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.run("resync").wantCode(t, 0)
	id := s.anyWanted()
	for _, table := range []string{"placement", "path_claim", "asset_detail"} {
		s.exec(`DELETE FROM damsync.`+table+` WHERE asset_id = $1`, id)
	}
	s.exec(`DELETE FROM damsync.asset WHERE id = $1`, id)
	s.verify(4).wantFound(t, 0, 0, 1, 0)
	s.run("verify", "--repair").wantCode(t, 0)
	s.equal()
	s.verify(0).wantFound(t, 0, 0, 0, 0)
}

// A daemon verifies on schedule, and repairs if on_drift says so.
func TestVerifyOnSchedule(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{
		schedule: `{incremental: "@every 1s", sweep: "", verify: "@every 1s"}`, target: defaultTarget + noLimit + "    on_drift: repair\n",
	})
	s.serve()
	s.equal()
	if err := os.Remove(s.paths()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is there again", s.differs)
	eventually(t, "the metrics show it", func() error {
		_, text, err := s.get("/metrics")
		if err == nil && !strings.Contains(text, `damsync_drift{kind="missing",target="brand"} 0`) {
			err = errors.New("there is no gauge of drift")
		}
		return err
	})
}

// restored removes an asset from the library and from the target, then puts its files back as from a
// backup. It returns the path.
func (s *site) restored() (path string) {
	s.t.Helper()
	id := s.anyWanted()
	have, err := s.files()
	if err != nil {
		s.t.Fatal(err)
	}
	path = filepath.Join(s.root, have[id].path)
	body, side := readFile(s.t, path), readFile(s.t, path+".damsync.json")
	s.sim.edit("delete_asset", M{"id": id})
	r := s.run("resync").wantCode(s.t, 0)
	if _, err := os.Stat(path); err == nil {
		s.t.Fatalf("the asset is still at the target: %s", r)
	}
	writeFile(s.t, path, string(body))
	writeFile(s.t, path+".damsync.json", string(side))
	return path
}

func (s *site) exec(sql string, args ...any) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.conf.database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	if _, err := conn.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// count asks the database.
func (s *site) count(sql string) int {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.conf.database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	var n int
	if err := conn.QueryRow(s.t.Context(), sql).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}
