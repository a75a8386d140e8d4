package pgserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"damsync/internal/pgserver"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// helperEnv makes the test binary a helper process that shares the server of the
// data directory in its value until its standard input ends.
const helperEnv = "PGSERVER_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := runHelper(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(initialized.dir) // no effect on the empty path
		os.Exit(code)
	}))
}

// report is what a helper prints after Open.
type report struct{ Joined bool }

func runHelper(dir string) error {
	ctx := context.Background()
	s, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, Unsafe: true})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(report{Joined: s.Joined()}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close(ctx)
}

// helper is another process that uses the server.
type helper struct {
	report
	cmd   *exec.Cmd
	stdin io.Closer
}

func startHelper(t *testing.T, dir string) *helper {
	t.Helper()
	h := &helper{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	h.cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	h.cmd.Stderr = os.Stderr
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdin = stdin
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = h.cmd.Process.Kill(), h.cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("read report of the helper: %v", err)
	}
	if err := json.Unmarshal(line, &h.report); err != nil {
		t.Fatal(err)
	}
	return h
}

// leave makes the helper close the server and waits until it has exited.
func (h *helper) leave(t *testing.T) {
	t.Helper()
	if err := h.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Fatalf("helper: %v", err)
	}
}

// kill sends SIGKILL to the helper.
func (h *helper) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait()
}

// newDir returns an empty directory that every user can enter. Cleanup removes
// it with all servers below it.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver-test-") //nolint:usetesting // other users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, dir) })
	return dir
}

// initialized is a data directory with a cluster, created by the first test that
// needs one.
var initialized struct {
	once sync.Once
	dir  string
	err  error
}

func initialize(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		return err
	}
	initialized.dir = dir
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	s, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir, Unsafe: true})
	if err != nil {
		return err
	}
	return s.Close(ctx)
}

// newClusterDir returns a newDir with a cluster, which it copies because initdb
// is slow.
func newClusterDir(t *testing.T) string {
	t.Helper()
	initialized.once.Do(func() { initialized.err = initialize(context.WithoutCancel(t.Context())) })
	if initialized.err != nil {
		t.Fatal(initialized.err)
	}
	dir := newDir(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", initialized.dir+"/postgres", dir).CombinedOutput(); err != nil {
		t.Fatalf("copy cluster: %v %s", err, out)
	}
	return dir
}

func ownerOf(t *testing.T, info os.FileInfo) *syscall.Stat_t {
	t.Helper()
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no owner of %s", info.Name())
	}
	return st
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "postgres" {
			if err := pgserver.Remove(context.Background(), filepath.Dir(path)); err != nil {
				t.Errorf("remove server: %v", err)
			}
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T, opt pgserver.Options) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Open(t.Context(), opt)
	if err != nil {
		t.Fatalf("open server: %v", err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

func closeServer(t *testing.T, s *pgserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("close server: %v", err)
	}
}

// query returns one value from the server.
func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return value
}

// running reports whether the server accepts connections.
func running(t *testing.T, url string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return false
	}
	_ = conn.Close(t.Context())
	return true
}
