package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// verified is damsync verify --json.
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

// wantFound holds the counts of the only target: missing, changed, orphaned, foreign.
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

// paths of what the target holds, in a stable order.
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

// sameSizeEdit writes other bytes of the same number and, when asked, the same
// time, which nothing but reading them tells.
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

// What people do to a folder behind our back is found and put right, and what is
// theirs stays.
func TestVerifyFindsAndRepairsDrift(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{target: defaultTarget + "    on_remove: delete\n" + noLimit})
	s.run("resync").wantCode(t, 0)
	s.verify(0).wantFound(t, 0, 0, 0, 0)

	paths := s.paths()
	gone := s.restored()
	paths = slices.DeleteFunc(paths, func(p string) bool { return p == gone })
	for _, p := range []string{paths[0], paths[0] + ".damsync.json", paths[1]} { // one whole, of one the bytes alone
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, paths[2], "edited by somebody")
	sameSizeEdit(t, paths[3], false)
	if err := os.Rename(paths[4], paths[4]+".moved"); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(s.root, "somebody", "else.txt")
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

// restored removes an asset from the library, and brings the files that the target
// had of it back after it was removed there, as from a backup.
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
