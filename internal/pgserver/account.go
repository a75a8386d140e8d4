package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user the server runs as.
type account struct {
	uid, gid   int
	name       string // for messages
	switchUser bool   // this process is root and runs programs as uid
}

// nobodyID is the conventional uid and gid of nobody, for systems such as
// containers that do not define the name.
const nobodyID = 65534

// serverAccount returns the user that runs the server of a cluster, which may
// not exist yet. PostgreSQL runs only as the owner of PGDATA, so root switches
// to the owner of an existing cluster: a cluster created by an ordinary user
// stays usable for that user.
func serverAccount(cluster string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: "uid " + strconv.Itoa(os.Geteuid())}, nil
	}
	info, err := os.Lstat(cluster)
	if err == nil {
		return ownerAccount(cluster, info)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return account{}, err
	}
	for _, name := range []string{"postgres", "nobody"} {
		if a, ok := namedAccount(name); ok {
			return a, nil
		}
	}
	return account{uid: nobodyID, gid: nobodyID, name: "nobody", switchUser: true}, nil
}

func ownerAccount(cluster string, info os.FileInfo) (account, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return account{}, fmt.Errorf("%s belongs to root, and PostgreSQL does not run as root: chown it to another user", cluster)
	}
	return account{uid: int(st.Uid), gid: int(st.Gid), name: "uid " + strconv.Itoa(int(st.Uid)), switchUser: true}, nil
}

func namedAccount(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return account{uid: uid, gid: gid, name: name, switchUser: true}, err1 == nil && err2 == nil && uid != 0
}

// command returns a command that runs as the account. It has its own process
// group, so Ctrl-C at the terminal reaches damsync alone, and an environment
// that fixes the language of messages and omits PGHOST and similar variables.
func (a account) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, path, args...) //nolint:gosec // the operator chooses the binaries
	c.Dir = "/"
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.switchUser {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: []uint32{}}
	}
	return c
}

// checkAccess verifies that the account can enter dir. The error ends with the
// command that allows it.
func (a account) checkAccess(ctx context.Context, dir string) error {
	if !a.switchUser {
		return nil
	}
	cause := a.tryEnter(ctx, dir)
	if cause == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	closed := a.firstClosed(ctx, dir)
	text := fmt.Sprintf("the private PostgreSQL server runs as user %s, who cannot enter %s\nset data_dir to another directory, run damsync as an ordinary user, or run: chmod o+x '%s'",
		a.name, closed, strings.ReplaceAll(closed, "'", `'\''`))
	return &classError{text: text, class: ErrUnreachable, cause: cause}
}

// firstClosed returns the outermost directory on the path to dir that the
// account cannot enter.
func (a account) firstClosed(ctx context.Context, dir string) string {
	parent := filepath.Dir(dir)
	if parent == dir || a.tryEnter(ctx, parent) == nil {
		return dir
	}
	return a.firstClosed(ctx, parent)
}

// tryEnter runs a shell in dir as the account. Permission bits alone do not
// decide: access control lists, security modules and mounts do too.
func (a account) tryEnter(ctx context.Context, dir string) error {
	c := a.command(ctx, "/bin/sh", "-c", ":")
	c.Dir = dir
	if err := c.Run(); err != nil {
		return fmt.Errorf("enter %s as %s: %w", dir, a.name, err)
	}
	return nil
}

// tryRun runs the binaries as the account.
func (a account) tryRun(ctx context.Context, b Binaries) error {
	if out, err := a.command(ctx, b.path("postgres"), "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("run PostgreSQL %s as %s: %w %s", b, a.name, err, bytes.TrimSpace(out))
	}
	return nil
}

// handOver makes the account the owner of dir and, besides root, the only user
// with access.
func (a account) handOver(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // directories need the x bit
		return err
	}
	if !a.switchUser {
		return nil
	}
	return os.Lchown(dir, a.uid, a.gid)
}

// owns reports whether path is a directory that belongs to the account and that
// no other user can write to.
func (a account) owns(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o022 == 0 && ownedBy(info, a.uid)
}

func ownedBy(info os.FileInfo, uid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid
}
