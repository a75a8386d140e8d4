package pgserver_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"damsync/internal/pgserver"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// download returns options for an empty data directory on a machine without
// PostgreSQL. The repository is a TLS server that answers every archive and its
// checksum alike.
func download(t *testing.T, archive http.HandlerFunc, checksum string) pgserver.Options {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/mirror/io/zonky/test/postgres/embedded-postgres-binaries-"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".jar.sha256"):
			_, _ = io.WriteString(w, checksum)
		default:
			archive(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return pgserver.Options{
		DataDir: newDir(t), Unsafe: true, Lookup: lookup("", "", filepath.Join(t.TempDir(), "*")),
		Repository: server.URL + "/mirror", Transport: server.Client().Transport,
	}
}

// serve answers with a body.
func serve(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

func TestDownloadedBinaries(t *testing.T) {
	jar := packJar(t, installedBinaries(t)...)
	opt := download(t, serve(jar), sha256Hex(jar)+"  embedded-postgres-binaries.jar\n")
	umask := unix.Umask(0o077) // the server's user must be able to run the binaries all the same
	s := open(t, opt)
	unix.Umask(umask)
	if got := query[int](t, s.URL(), `SELECT 1`); got != 1 {
		t.Errorf("SELECT 1 = %d", got)
	}
	closeServer(t, s)

	opt.Repository = "https://127.0.0.1:1" // a second download would fail
	closeServer(t, open(t, opt))
}

func TestDownloadReplacesLeftovers(t *testing.T) {
	t.Parallel()
	jar := packJar(t, installedBinaries(t)...)
	opt := download(t, serve(jar), sha256Hex(jar))
	killed := install(t, filepath.Join(opt.DataDir, "postgres/fetch-killed/bin"), "18.3")
	incomplete := install(t, filepath.Join(opt.DataDir, "postgres/dist/bin"), "18.3")
	if err := os.Remove(filepath.Join(incomplete, "pg_ctl")); err != nil {
		t.Fatal(err)
	}
	closeServer(t, open(t, opt))
	if _, err := os.Stat(killed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a killed download was left behind: %v", err)
	}
}

func TestFailedDownload(t *testing.T) {
	jar := packJar(t, installedBinaries(t)...)
	half, sum := jar[:len(jar)/2], sha256Hex(jar)
	for name, c := range map[string]struct {
		repository string // empty: the server
		archive    http.HandlerFunc
		checksum   string
		reason     string
	}{
		"repository is down":     {repository: "https://127.0.0.1:1", reason: "connection refused"},
		"repository without TLS": {repository: "http://127.0.0.1:1", reason: "not an https address"},
		"redirect to plain HTTP": {archive: http.RedirectHandler("http://127.0.0.1:1", http.StatusFound).ServeHTTP, checksum: sum, reason: "not an https address"},
		"archive does not exist": {archive: http.NotFound, checksum: sum, reason: "404 Not Found"},
		"body shorter than promised": {archive: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(jar)))
			_, _ = w.Write(half)
		}, checksum: sum, reason: "unexpected EOF"},
		"archive cut short":    {archive: serve(half), checksum: sum, reason: "has the SHA-256 " + sha256Hex(half)},
		"wrong checksum":       {archive: serve(jar), checksum: sha256Hex(half), reason: "published is"},
		"empty checksum":       {archive: serve(jar), checksum: "", reason: "published is"},
		"checksum without end": {archive: serve(jar), checksum: strings.Repeat("a", 2<<10), reason: "more than 1024 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := download(t, c.archive, c.checksum)
			if c.repository != "" {
				opt.Repository = c.repository
			}
			checkFailed(t, opt, c.reason)
		})
	}
}

func TestBadArchive(t *testing.T) {
	txz := packTxz(t, installedBinaries(t)...)
	const escapes = "path escapes from parent"
	for name, c := range map[string]struct {
		jar    []byte
		reason string
	}{
		"not a zip file":           {[]byte("<html>"), "not a valid zip file"},
		"no .txz in the zip file":  {packZip(t, "postgres.txt", txz), "want one .txz file"},
		"not an xz file":           {packZip(t, "a.txz", []byte("plain")), "unpack"},
		"xz file cut short":        {packZip(t, "a.txz", txz[:len(txz)/2]), "unexpected EOF"},
		"path above the directory": {packJar(t, file("../evil", "")), escapes},
		"path that climbs out":     {packJar(t, file("bin/../../evil", "")), escapes},
		"absolute path":            {packJar(t, file("/tmp/evil", "")), escapes},
		"directory above":          {packJar(t, directory("../evil")), escapes},
		"link to an absolute path": {packJar(t, link("bin", "/tmp"), file("bin/evil", "")), "not allowed"},
		"link above its directory": {packJar(t, link("lib/evil", "../../evil")), "not allowed"},
		"file in place of a link":  {packJar(t, link("bin", "lib"), file("bin", "")), "file exists"},
		"two files with one name":  {packJar(t, file("a", "1"), file("a", "2")), "file exists"},
		"hard link":                {packJar(t, entry{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "b"}, ""}), "not allowed"},
		"device":                   {packJar(t, entry{tar.Header{Typeflag: tar.TypeChar, Name: "null"}, ""}), "not allowed"},
		"larger than 1 GiB":        {packJar(t, entry{tar.Header{Typeflag: tar.TypeReg, Name: "big", Size: 1 << 30}, ""}), "more than 1073741824 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			checkFailed(t, download(t, serve(c.jar), sha256Hex(c.jar)), c.reason)
		})
	}
}

func TestInterruptedDownload(t *testing.T) {
	jar := packJar(t, installedBinaries(t)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opt := download(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(jar[:len(jar)/2])
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // returning would end the body properly, which may reach a client that is just closing
	}, sha256Hex(jar))
	if _, err := pgserver.Open(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want context.Canceled", err)
	}
	checkNothingLeft(t, opt.DataDir)
}

func TestNoArchiveForClusterVersion(t *testing.T) {
	t.Parallel()
	opt := download(t, http.NotFound, "")
	opt.DataDir = newClusterDir(t)
	setClusterVersion(t, opt.DataDir, "9")
	checkError(t, opt, "no archive of PostgreSQL 9 is known")
}

func TestArchiveWithoutBinaries(t *testing.T) {
	jar := packJar(t, file("share/README", ""))
	checkError(t, download(t, serve(jar), sha256Hex(jar)), "inspect downloaded binaries")
}

func checkFailed(t *testing.T, opt pgserver.Options, reason string) {
	t.Helper()
	checkError(t, opt, reason)
	checkNothingLeft(t, opt.DataDir)
}

// checkError verifies that Open says in two lines what failed and what to do.
func checkError(t *testing.T, opt pgserver.Options, reason string) {
	t.Helper()
	_, err := pgserver.Open(t.Context(), opt)
	if !errors.Is(err, pgserver.ErrNoBinaries) {
		t.Fatalf("Open = %v, want ErrNoBinaries", err)
	}
	failed, advice, ok := strings.Cut(err.Error(), "\n")
	if !ok || !strings.Contains(failed, reason) {
		t.Errorf("first line %q, want the reason %q", failed, reason)
	}
	if strings.Contains(advice, "\n") || !strings.Contains(advice, "apt-get install postgresql") || !strings.Contains(advice, "database.url") {
		t.Errorf("after the first line %q, want one line that says what to do", advice)
	}
}

// checkNothingLeft verifies that a data directory contains only lock files.
func checkNothingLeft(t *testing.T, dataDir string) {
	t.Helper()
	var left []string
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		paths, err := filepath.Glob(filepath.Join(dataDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, paths...)
	}
	want := []string{"postgres", "postgres/start.lock", "postgres/users.lock"}
	for i, name := range want {
		want[i] = filepath.Join(dataDir, name)
	}
	if diff := gocmp.Diff(want, left); diff != "" {
		t.Errorf("files after a failed download (-want +got):\n%s", diff)
	}
}
