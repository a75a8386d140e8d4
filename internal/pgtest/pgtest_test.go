package pgtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"damsync/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// helperEnv makes TestHelper keep a database until its standard input ends.
const helperEnv = "PGTEST_HELPER"

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

const migrated = `SELECT to_regclass('damsync.schema_version') IS NOT NULL`

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	one, two := pgtest.Pool(t), pgtest.Pool(t)
	if _, err := one.Exec(t.Context(), `CREATE TABLE only_here ()`); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{
		`SELECT to_regclass('only_here') IS NOT NULL`: false,
		migrated: true,
	} {
		var got bool
		if err := two.QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %t, want %t", query, got, want)
		}
	}
}

func TestEmptyDatabaseHasNoMigrations(t *testing.T) {
	t.Parallel()
	if query[bool](t, pgtest.EmptyURL(t), migrated) {
		t.Error("the empty database contains the version table of the schema")
	}
}

func TestDatabaseWithConnectionsIsDropped(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("test that leaves a connection open", func(t *testing.T) {
		url = pgtest.URL(t)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	})
	if exists(t, url) {
		t.Errorf("%s exists after its test", url)
	}
}

func TestProcessesShareOneServer(t *testing.T) {
	t.Parallel()
	mine := pgtest.URL(t)
	other := startHelper(t, "")
	if got := query[time.Time](t, mine, serverStart); !got.Equal(other.ServerStart) {
		t.Errorf("server start %s here, %s in the other process", got, other.ServerStart)
	}
	other.leave(t)
	if exists(t, other.URL) {
		t.Errorf("%s exists after its process", other.URL)
	}
	if !exists(t, mine) {
		t.Error("the server stopped with the other process")
	}
}

func TestLeftoversOfKilledProcessAreRemoved(t *testing.T) {
	t.Parallel()
	mine := pgtest.URL(t)
	killed := startHelper(t, "")
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.cmd.Wait()
	// The server releases the lock of the killed process when it notices the lost connection.
	conn, err := pgx.Connect(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	awaitGone(t, conn, killed.BackendPID)
	next := startHelper(t, "")
	if exists(t, killed.URL) {
		t.Errorf("%s exists after the start of another process", killed.URL)
	}
	if !exists(t, mine) {
		t.Error("the database of a running process was removed")
	}
	next.leave(t)
}

func TestServerFromEnvironment(t *testing.T) {
	t.Parallel()
	maintenance := pgtest.EmptyURL(t)
	other := startHelper(t, maintenance)
	if got := query[bool](t, maintenance, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid = $1)`, other.BackendPID); !got {
		t.Error("the process does not use the database of DAMSYNC_TEST_DATABASE_URL")
	}
	other.leave(t)
}

// TestHelper is the body of the helper process.
func TestHelper(t *testing.T) {
	if os.Getenv(helperEnv) == "" {
		t.Skip("only for the helper process")
	}
	url := pgtest.URL(t)
	r := report{
		URL: url, ServerStart: query[time.Time](t, url, serverStart),
		BackendPID: query[int](t, url, `SELECT pid FROM pg_locks
			WHERE locktype = 'advisory' AND objid::text = split_part(current_database(), '_', 3)`),
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

const serverStart = `SELECT pg_postmaster_start_time()`

// report is what a helper prints: its database, and the server process that
// holds its owner lock.
type report struct {
	URL         string
	ServerStart time.Time
	BackendPID  int
}

type helper struct {
	report
	cmd   *exec.Cmd
	stdin io.Closer
}

func startHelper(t *testing.T, server string) *helper {
	t.Helper()
	h := &helper{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$")}
	h.cmd.Env = append(os.Environ(), helperEnv+"=1")
	if server != "" {
		h.cmd.Env = append(h.cmd.Env, "DAMSYNC_TEST_DATABASE_URL="+server)
	}
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
		t.Fatalf("parse report of the helper: %q", line)
	}
	return h
}

// leave makes the helper exit and waits for it.
func (h *helper) leave(t *testing.T) {
	t.Helper()
	if err := h.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("helper: %v", err)
	}
}

// awaitGone waits until a server process has exited.
func awaitGone(t *testing.T, conn *pgx.Conn, pid int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		var running bool
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, pid).Scan(&running); err != nil {
			t.Fatal(err)
		}
		if !running {
			return
		}
	}
}

func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// exists reports whether the database at url exists.
func exists(t *testing.T, url string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		_ = conn.Close(t.Context())
		return true
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Code != "3D000" {
		t.Fatalf("connect: %v", err)
	}
	return false
}
