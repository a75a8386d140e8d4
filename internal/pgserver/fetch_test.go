package pgserver_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"damsync/internal/pgserver"
)

// nothingInstalled is a machine without PostgreSQL.
func nothingInstalled(t *testing.T) pgserver.Lookup {
	t.Helper()
	return lookup("", "", filepath.Join(t.TempDir(), "*"))
}

// archive packs the installed binaries as the repository does: a zip that
// holds a .txz.
func archive(t *testing.T) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("xz is not installed (apt-get install xz-utils)")
	}
	bin, err := pgserver.Find(t.Context(), pgserver.Lookup{})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-cJf", "-", "--mode=go=", "--exclude=bitcode", "-C", filepath.Dir(bin.Dir), "bin/initdb", "bin/pg_ctl", "bin/postgres"}
	for _, name := range []string{"lib", "share"} { // where Debian has them elsewhere, PostgreSQL knows
		if _, err := os.Stat(filepath.Join(filepath.Dir(bin.Dir), name)); err == nil {
			args = append(args, name)
		}
	}
	tar := exec.CommandContext(t.Context(), "tar", args...)
	tar.Env = append(os.Environ(), "XZ_OPT=-0")
	txz, err := tar.Output()
	if err != nil {
		t.Fatalf("pack: %v", err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres-linux-x86_64.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(txz); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

// repository serves one archive under every name, with the given checksum.
func repository(t *testing.T, jar []byte, checksum string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".jar.sha256") {
			_, _ = io.WriteString(w, checksum)
			return
		}
		_, _ = w.Write(jar)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func sum(jar []byte) string {
	s := sha256.Sum256(jar)
	return hex.EncodeToString(s[:])
}

func TestDownloadedBinaries(t *testing.T) {
	jar := archive(t)
	dir := newDir(t)
	t.Setenv("TMPDIR", t.TempDir()) // embedded-postgres leaves a log there
	opt := pgserver.Options{
		DataDir: dir, Unsafe: true, Lookup: nothingInstalled(t),
		Repository: repository(t, jar, sum(jar)+"  some.jar\n"),
	}
	closeServer(t, open(t, opt))
	opt.Repository = "http://127.0.0.1:1" // no second download
	s := open(t, opt)
	if got := query[int](t, s.URL(), `SELECT 1`); got != 1 {
		t.Errorf("SELECT 1 = %d", got)
	}
}

func TestFailedDownload(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	broken := []byte("no zip")
	for name, c := range map[string]struct{ repository, want string }{
		"unreachable":    {"http://127.0.0.1:1", "connection refused"},
		"not found":      {refusing.URL, "404 Not Found"},
		"wrong checksum": {repository(t, broken, sum([]byte("other"))), "does not match"},
		"broken archive": {repository(t, broken, sum(broken)), "not a valid zip file"},
	} {
		dir := newDir(t)
		t.Setenv("TMPDIR", t.TempDir()) // embedded-postgres leaves a log there
		_, err := pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, Lookup: nothingInstalled(t), Repository: c.repository})
		if !errors.Is(err, pgserver.ErrNoBinaries) {
			t.Errorf("%s: %v, want ErrNoBinaries", name, err)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], c.want) || !strings.Contains(lines[1], "apt-get install postgresql") {
			t.Errorf("%s: %q, want the reason %q and what to install, in two lines", name, lines, c.want)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "postgres/*-*")); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}
