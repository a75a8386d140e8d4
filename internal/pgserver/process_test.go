package pgserver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"damsync/internal/pgserver"

	"github.com/jackc/pgx/v5"
)

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// serverPID returns the pid of the postmaster. It reads the pid file through the
// server instead of this package's code.
func serverPID(t *testing.T, url string) int {
	t.Helper()
	return query[int](t, url, `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int`)
}

// startByHand runs pg_ctl like an administrator.
func startByHand(t *testing.T, cluster string) (stop func()) {
	t.Helper()
	bin, err := pgserver.Find(t.Context(), pgserver.Lookup{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(cluster)
	if err != nil {
		t.Fatal(err)
	}
	owner := ownerOf(t, info)
	pgCtl := func(args ...string) error {
		c := exec.CommandContext(context.Background(), filepath.Join(bin.Dir, "pg_ctl"), append(args, "-w", "-s", "-D", cluster)...)
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{}
		if os.Geteuid() == 0 {
			c.SysProcAttr.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
		}
		return c.Run()
	}
	if err := pgCtl("start"); err != nil {
		t.Fatalf("start by hand: %v", err)
	}
	return func() {
		if err := pgCtl("stop", "-m", "fast"); err != nil {
			t.Errorf("stop by hand: %v", err)
		}
	}
}

// TestOrdinaryUser repeats tests of this package as an unprivileged user.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the other tests already run as an ordinary user")
	}
	const nobody = 65534
	dir := newDir(t)
	binary := filepath.Join(dir, "pgserver.test") // a copy, because nobody cannot enter the build directory
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run=^(TestServerIsDurableAndPrivate|TestKilledOwnerLeavesServerToNext|TestKilledServerRecovers|TestPIDOfAnotherProcess)$")
	c.Dir = tmp
	c.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
