package pgserver_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"damsync/internal/pgserver"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

func TestServerIsDurableAndPrivate(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := open(t, pgserver.Options{DataDir: dir})
	if s.Joined() {
		t.Error("the first Open joined a server")
	}
	for name, want := range map[string]string{
		"fsync":                     "on",
		"synchronous_commit":        "on",
		"full_page_writes":          "on",
		"data_checksums":            "on",
		"listen_addresses":          "",
		"server_encoding":           "UTF8",
		"jit":                       "off",
		"unix_socket_permissions":   "0700",
		"default_toast_compression": "lz4",
		"config_file":               filepath.Join(dir, "postgres/cluster/postgresql.conf"),
		"unix_socket_directories":   `"` + filepath.Join(dir, "postgres/socket") + `"`,
		"max_connections":           "60",
	} {
		if got := query[string](t, s.URL(), `SELECT current_setting($1)`, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	checkOwner(t, filepath.Join(dir, "postgres/socket"))
	closeServer(t, s)
	if running(t, s.URL()) {
		t.Error("the server runs after the last Close")
	}
}

// checkOwner verifies that only one unprivileged user, and root, can enter the
// directory.
func checkOwner(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of %s = %o, want 700", dir, got)
	}
	uid := ownerOf(t, info).Uid
	if uid == 0 {
		t.Error("the server runs as root")
	}
	if os.Geteuid() != 0 && int(uid) != os.Geteuid() {
		t.Errorf("the server runs as uid %d, want this user's %d", uid, os.Geteuid())
	}
}

func TestLastProcessStopsServer(t *testing.T) {
	t.Parallel()
	for name, starterLeavesFirst := range map[string]bool{
		"the process that started it leaves first": true,
		"the process that joined it leaves first":  false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newClusterDir(t)
			starter := startHelper(t, dir)
			s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
			if starter.Joined || !s.Joined() {
				t.Fatalf("first joined %t, second joined %t; want false, true", starter.Joined, s.Joined())
			}
			first, last := func() { starter.leave(t) }, func() { closeServer(t, s) }
			if !starterLeavesFirst {
				first, last = last, first
			}
			first()
			if !running(t, s.URL()) {
				t.Error("the server stopped while a process used it")
			}
			last()
			if running(t, s.URL()) {
				t.Error("the server runs after the last process left")
			}
		})
	}
}

func TestOneOfManyStartsServer(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	var started atomic.Int64
	var g errgroup.Group
	for range 6 {
		g.Go(func() error {
			s, err := pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, Unsafe: true})
			if err != nil {
				return err
			}
			if !s.Joined() {
				started.Add(1)
			}
			t.Cleanup(func() { closeServer(t, s) })
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := started.Load(); got != 1 {
		t.Errorf("%d of 6 started the server, want 1", got)
	}
}

func TestKilledOwnerLeavesServerToNext(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	starter := startHelper(t, dir)
	starter.kill(t)
	s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if !s.Joined() {
		t.Error("the running server was not joined")
	}
	if got := query[int](t, s.URL(), `SELECT 1`); got != 1 {
		t.Errorf("SELECT 1 = %d", got)
	}
	closeServer(t, s)
	if running(t, s.URL()) {
		t.Error("the server of a killed process still runs")
	}
}

func TestKilledServerRecovers(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	first := open(t, pgserver.Options{DataDir: dir})
	execute(t, first.URL(), `CREATE TABLE kept AS SELECT 7 AS n`)
	if err := unix.Kill(serverPID(t, first.URL()), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := open(t, pgserver.Options{DataDir: dir})
	if second.Joined() {
		t.Error("Open joined a killed server")
	}
	if got := query[int](t, second.URL(), `SELECT n FROM kept`); got != 7 {
		t.Errorf("n = %d after crash recovery, want 7", got)
	}
}

func TestEnsureRestartsKilledServer(t *testing.T) {
	t.Parallel()
	s := open(t, pgserver.Options{DataDir: newClusterDir(t), Unsafe: true})
	pid := serverPID(t, s.URL())
	if err := s.Ensure(t.Context()); err != nil || serverPID(t, s.URL()) != pid {
		t.Fatalf("Ensure of a running server = %v, or another server", err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !running(t, s.URL()) {
		t.Error("no server after Ensure")
	}
	closeServer(t, s)
	if running(t, s.URL()) {
		t.Error("the server that Ensure started runs after Close")
	}
	if err := s.Ensure(t.Context()); err == nil {
		t.Error("Ensure after Close started a server")
	}
}

func TestInterruptedOpenLeavesNoServer(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	// Interrupt the start at different moments.
	for delay := time.Duration(0); delay < 300*time.Millisecond; delay += 25 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		s, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, Unsafe: true})
		cancel()
		if err == nil {
			closeServer(t, s)
		}
		if pid, readErr := os.ReadFile(filepath.Join(dir, "postgres/cluster/postmaster.pid")); readErr == nil {
			t.Errorf("Open interrupted after %s left a server: %v\n%s", delay, err, pid)
		}
	}
}

// TestInterruptedBeforePIDFile interrupts pg_ctl before the server it forked has
// written its pid file.
func TestInterruptedBeforePIDFile(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	slow, forked := slowBinaries(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, Lookup: slow, Unsafe: true})
		opened <- err
	}()
	f, err := os.Open(forked) // blocks until pg_ctl opens the other end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Fatalf("Open = %v, want context.Canceled", err)
	}
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read from pg_ctl and its server = %v, want EOF after both have exited", err)
	}
}

// slowBinaries returns a Lookup of binaries whose pg_ctl starts the server only
// after pg_ctl itself has been interrupted, and a FIFO that pg_ctl and the
// server hold open from then on.
func slowBinaries(t *testing.T) (_ pgserver.Lookup, forked string) {
	t.Helper()
	bin, err := pgserver.Find(t.Context(), pgserver.Lookup{})
	if err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	forked = makeFIFO(t, filepath.Join(dir, "forked"))
	alive := makeFIFO(t, filepath.Join(dir, "alive"))
	for name, text := range map[string]string{
		"initdb":   `exec ` + bin.Dir + `/initdb "$@"`,
		"postgres": `exec ` + bin.Dir + `/postgres "$@"`,
		// An interrupt ends the shell, but not its background process, which
		// reads the end of the file when the shell is gone.
		"pg_ctl": `(exec 8<` + alive + ` 9>` + forked + `; read -r _ <&8; exec ` + bin.Dir + `/pg_ctl "$@" 8<&-) &
exec 8>` + alive + `; wait`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return lookup(dir, "", ""), forked
}

func makeFIFO(t *testing.T, path string) string {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // independent of the umask
		t.Fatal(err)
	}
	return path
}

func TestOpenWaitsForServerThatShutsDown(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	first := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if err := unix.Kill(serverPID(t, first.URL()), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	second := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if !running(t, second.URL()) {
		t.Error("no server after Open")
	}
}

// TestPIDOfAnotherProcess covers a pid file from before a reboot: its number can
// belong to any process by now, here to this one.
func TestPIDOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	pidFile := filepath.Join(dir, "postgres/cluster/postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	closeServer(t, s)
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if again.Joined() || !running(t, again.URL()) {
		t.Errorf("joined %t, running %t; want a new server", again.Joined(), running(t, again.URL()))
	}
}

func TestForeignServerIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	url := s.URL()
	closeServer(t, s)
	stop := startByHand(t, filepath.Join(dir, "postgres/cluster"))
	joined := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if !joined.Joined() {
		t.Error("Open did not join a server started by hand")
	}
	closeServer(t, joined)
	if !running(t, url) {
		t.Error("Close stopped a server started by hand")
	}
	stop()
}

func TestUnusualDataDirs(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"path too long for a socket":   strings.Repeat("a-directory-of-thirty-characters/", 6) + "data",
		"path with special characters": `it's "my" $HOME \ ünïcode`,
		"path with a comma":            "a,b",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(newDir(t), path)
			for range 2 { // the second start uses the socket directory that the first recorded
				s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
				if got := query[string](t, s.URL(), `SELECT current_setting('data_directory')`); got != filepath.Join(dir, "postgres/cluster") {
					t.Errorf("data_directory = %q", got)
				}
				closeServer(t, s)
			}
			if err := pgserver.Remove(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDirectoryClosedToServersUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's server runs as another user")
	}
	closed := filepath.Join(newDir(t), "it's closed")
	if err := os.Mkdir(closed, 0o700); err != nil { // as mktemp -d does
		t.Fatal(err)
	}
	opt := pgserver.Options{DataDir: filepath.Join(closed, "data"), Unsafe: true}
	_, err := pgserver.Open(t.Context(), opt)
	if !errors.Is(err, pgserver.ErrUnreachable) || !strings.Contains(err.Error(), "who cannot enter "+closed+"\n") {
		t.Fatalf("Open = %v, want ErrUnreachable and %s", err, closed)
	}
	_, command, _ := strings.Cut(err.Error(), "or run: ")
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("run %s: %v %s", command, err, out)
	}
	s := open(t, opt)
	if !running(t, s.URL()) {
		t.Errorf("no server after %s", command)
	}
}

// TestRootInUsersDataDir covers commands that root runs in a user's data
// directory, such as sudo damsync status.
func TestRootInUsersDataDir(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can use another user's data directory")
	}
	dir := newClusterDir(t)
	const user = 65534
	chown := func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, user, user)
	}
	if err := filepath.WalkDir(dir, chown); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "postgres/server.log")); err != nil {
		t.Fatal(err)
	}
	closeServer(t, open(t, pgserver.Options{DataDir: dir, Unsafe: true}))
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && ownerOf(t, info).Uid != user {
			t.Errorf("%s does not belong to the user after a command of root", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVersionMismatch(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	setClusterVersion(t, dir, "9")
	_, err := pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, Unsafe: true})
	if !errors.Is(err, pgserver.ErrVersion) || !strings.Contains(err.Error(), ": PostgreSQL 9 created ") {
		t.Errorf("Open = %v, want ErrVersion that names version 9", err)
	}
}

func setClusterVersion(t *testing.T, dataDir, version string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dataDir, "postgres/cluster/PG_VERSION"), []byte(version+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFailedStartShowsLog(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	conf := filepath.Join(dir, "postgres/cluster/postgresql.auto.conf")
	if err := os.WriteFile(conf, []byte("no_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, Unsafe: true})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("Open = %v, want the server's log about no_such_setting", err)
	}
}

func TestAnotherProcessKeepsStartLock(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := os.Mkdir(filepath.Join(dir, "postgres"), 0o711); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "postgres/start.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err = pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, StartTimeout: 50 * time.Millisecond})
	if !errors.Is(err, pgserver.ErrUnavailable) {
		t.Errorf("Open while another process holds the start lock = %v, want ErrUnavailable", err)
	}
}
