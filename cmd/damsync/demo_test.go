package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "demo")
	r := finish(start(t, launch{args: []string{"demo", "--once", "--assets", "40", "--dir", dir}})).wantCode(t, 0)
	checkDemo(t, r, dir)
	damsync(t, "demo", "--once", "--dir", dir).wantCode(t, 2).wantText(t, "holds an earlier demo")
	// Other commands work with the configuration of the demo.
	st := damsync(t, "status", "--config", filepath.Join(dir, "config.yaml")).wantCode(t, 0)
	st.wantText(t, "approved-images", "40 assets")
}

func checkDemo(t *testing.T, r result, dir string) {
	t.Helper()
	r.wantText(t, "simulated CMP holds 40 assets", "uploads a new version", "deletes it", "all in sync", "quota", "psql", "damsync status --config", dir)
	have, err := filesIn(filepath.Join(dir, "approved"))
	if err != nil || len(have) == 0 {
		t.Errorf("%d files %v", len(have), err)
	}
	if strings.ContainsAny(r.all(), "\r\x1b") {
		t.Error("terminal control codes without a terminal")
	}
}

// An ordinary user needs only the program and a writable directory.
func TestDemoAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the tests already run as an ordinary user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("no ordinary user to run as: %v", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	home := tempDir(t)
	bin := filepath.Join(home, "damsync")
	copyProgram(t, bin)
	dir := filepath.Join(home, "own")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	r := finish(start(t, launch{
		bin: bin, dir: dir, args: []string{"demo", "--once", "--assets", "40", "--dir", filepath.Join(dir, "demo")},
		env: []string{"HOME=" + dir, "TMPDIR=" + dir}, cred: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)},
	})).wantCode(t, 0)
	checkDemo(t, r, filepath.Join(dir, "demo"))
}

// copyProgram copies the program to a path where other users can start it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDemoStopsPostgreSQLOnInterrupt(t *testing.T) {
	t.Parallel()
	s := &site{t: t, dir: filepath.Join(tempDir(t), "demo")}
	p := start(t, launch{args: []string{"demo", "--assets", "20", "--dir", s.dir}})
	eventually(t, "the demo shows edits", func() error {
		if !strings.Contains(p.stdout.String(), "adds an approved image") {
			return fmt.Errorf("%s %s", p.stdout, p.stderr)
		}
		return nil
	})
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	finish(p).wantCode(t, 0)
	if pid, err := s.postmaster(); err == nil {
		t.Errorf("PostgreSQL %d is still running", pid)
	}
}
