package pgserver_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"damsync/internal/pgserver"

	gocmp "github.com/google/go-cmp/cmp"
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

// checkOwner verifies that nobody but one unprivileged user, and root, can get
// at the socket.
func checkOwner(t *testing.T, socketDir string) {
	t.Helper()
	info, err := os.Stat(socketDir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the socket's directory = %o, want 700", got)
	}
	uid := owner(t, info).Uid
	if uid == 0 {
		t.Error("the server runs as root")
	}
	if os.Geteuid() != 0 && int(uid) != os.Geteuid() {
		t.Errorf("the server runs as uid %d, want this user's %d", uid, os.Geteuid())
	}
}

func TestLastProcessStopsServer(t *testing.T) {
	t.Parallel()
	for _, ownerFirst := range []bool{true, false} {
		dir := newClusterDir(t)
		starter := startHelper(t, dir)
		s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
		if got, want := []bool{starter.Joined, s.Joined()}, []bool{false, true}; !gocmp.Equal(got, want) {
			t.Fatalf("joined = %v, want %v", got, want)
		}
		if ownerFirst {
			starter.leave(t)
			if !running(t, s.URL()) {
				t.Error("the server was stopped under a process that uses it")
			}
			closeServer(t, s)
		} else {
			closeServer(t, s)
			if !running(t, s.URL()) {
				t.Error("the server was stopped under the process that started it")
			}
			starter.leave(t)
		}
		if running(t, s.URL()) {
			t.Errorf("owner leaves first %t: the server runs after the last process left", ownerFirst)
		}
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
	owner := startHelper(t, dir)
	owner.kill(t)
	s := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if !s.Joined() {
		t.Error("the running server was not joined")
	}
	if got := query[int](t, s.URL(), `SELECT 1`); got != 1 {
		t.Errorf("SELECT 1 = %d", got)
	}
	closeServer(t, s)
	if running(t, s.URL()) {
		t.Error("nobody stopped the server of a killed process")
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
		t.Error("joined a killed server")
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
		t.Error("Ensure of a closed share started a server")
	}
}

func TestInterruptedOpenLeavesNoServer(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	// Interrupted at a different moment of the start each time.
	for delay := time.Duration(0); delay < 300*time.Millisecond; delay += 25 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		s, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, Unsafe: true})
		cancel()
		if err == nil {
			closeServer(t, s)
		}
		if pid, err := os.ReadFile(filepath.Join(dir, "postgres/cluster/postmaster.pid")); err == nil {
			t.Errorf("Open interrupted after %s left a server: %s", delay, pid)
		}
	}
}

// TestInterruptedBeforePIDFile: pg_ctl is gone and the server it forked has
// written nothing yet.
func TestInterruptedBeforePIDFile(t *testing.T) {
	t.Parallel()
	dir := newClusterDir(t)
	bin, forked := slowBinaries(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, BinDir: bin, Unsafe: true})
		opened <- err
	}()
	f, err := os.Open(forked) // waits until pg_ctl opens the other end
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
		t.Errorf("read what pg_ctl and its server hold open = %v, want EOF", err)
	}
}

// slowBinaries returns a directory of binaries whose pg_ctl takes a while from
// opening the FIFO that is also returned, which its server keeps open.
func slowBinaries(t *testing.T) (dir, forked string) {
	t.Helper()
	bin, err := pgserver.Find(t.Context(), pgserver.Lookup{})
	if err != nil {
		t.Fatal(err)
	}
	dir = newDir(t)
	forked = filepath.Join(dir, "forked")
	if err := unix.Mkfifo(forked, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(forked, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"initdb":   `exec ` + bin.Dir + `/initdb "$@"`,
		"postgres": `exec ` + bin.Dir + `/postgres "$@"`,
		// An interrupt ends the shell, not what it runs in the background.
		"pg_ctl": `(exec 9>` + forked + `; sleep 0.5; exec ` + bin.Dir + `/pg_ctl "$@") & wait`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, forked
}

func TestServerShuttingDownIsWaitedFor(t *testing.T) {
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

// TestPIDOfAnotherProcess: after a reboot the number in the pid file may be
// anybody's, even this process's.
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
	if err := os.WriteFile(pidFile, []byte(itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
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
		t.Error("did not join the server started by hand")
	}
	closeServer(t, joined)
	if !running(t, url) {
		t.Error("stopped a server that somebody else started")
	}
	stop()
}

func TestUnusualDataDirs(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"deep":       strings.Repeat("a-directory-of-thirty-characters/", 6) + "data",
		"characters": `it's "my" $HOME \ ünïcode`,
		"comma":      "a,b",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(newDir(t), path)
			for range 2 { // the second uses what the first recorded
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

func TestRootsPrivateDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's server runs as another user")
	}
	parent := newDir(t)
	if err := os.Chmod(parent, 0o700); err != nil { // what mktemp -d makes
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "data")
	first := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	execute(t, first.URL(), `CREATE TABLE kept AS SELECT 7 AS n`)
	home := filepath.Dir(first.LogFile())
	closeServer(t, first)
	second := open(t, pgserver.Options{DataDir: dir, Unsafe: true})
	if got := query[int](t, second.URL(), `SELECT n FROM kept`); got != 7 {
		t.Errorf("n = %d, want 7", got)
	}
	if err := pgserver.Remove(t.Context(), dir); !errors.Is(err, pgserver.ErrInUse) {
		t.Errorf("Remove of a used server = %v, want ErrInUse", err)
	}
	closeServer(t, second)
	if info, err := os.Stat(parent); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory above the data directory was changed: %v %v", info.Mode(), err)
	}
	if err := pgserver.Remove(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Remove left %s: %v", home, err)
	}
}

// TestRootInUsersDataDir: what root does (sudo damsync status) leaves the
// user's server and files the user's.
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
		if err == nil && owner(t, info).Uid != user {
			t.Errorf("%s no longer belongs to the user", path)
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
		t.Errorf("Open = %v, want ErrVersion with both versions", err)
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
		t.Errorf("Open = %v, want the server's complaint about no_such_setting", err)
	}
}

func TestStuckNeighbour(t *testing.T) {
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
		t.Errorf("Open while another process starts for ever = %v, want ErrUnavailable", err)
	}
}
