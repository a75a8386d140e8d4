package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user the server runs as.
type account struct {
	uid, gid int
	name     string
	change   bool // this process is root and must become uid
}

// nobodyID is the conventional uid and gid of nobody, for systems (containers)
// where no such name exists.
const nobodyID = 65534

// serverAccount returns who shall run the server on the given PGDATA, which
// need not exist. PostgreSQL runs only as the owner of PGDATA, so root becomes
// that user: a cluster made by a user stays that user's.
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
	return account{uid: nobodyID, gid: nobodyID, name: "nobody", change: true}, nil
}

func ownerAccount(cluster string, info os.FileInfo) (account, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return account{}, fmt.Errorf("%s belongs to root, and PostgreSQL does not run as root: chown it to another user", cluster)
	}
	return account{uid: int(st.Uid), gid: int(st.Gid), name: "uid " + strconv.Itoa(int(st.Uid)), change: true}, nil
}

func namedAccount(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return account{uid: uid, gid: gid, name: name, change: true}, err1 == nil && err2 == nil && uid != 0
}

// command is a program run as the account, in a process group of its own so
// that a Ctrl-C at the terminal reaches damsync alone, and with an environment
// that fixes the language of messages and hides PGHOST and the like.
func (a account) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, path, args...) //nolint:gosec // the operator chooses the binaries
	c.Dir = "/"
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.change {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: []uint32{}}
	}
	return c
}

// reaches returns nil when the account may enter dir. It tries, because
// permission bits alone do not tell (ACLs, security modules, mounts).
func (a account) reaches(ctx context.Context, dir string) error {
	c := a.command(ctx, "/bin/sh", "-c", ":")
	c.Dir = dir
	if err := c.Run(); err != nil {
		return fmt.Errorf("enter %s as %s: %w", dir, a.name, err)
	}
	return nil
}

// runs returns nil when the account may run the binaries.
func (a account) runs(ctx context.Context, b Binaries) error {
	if out, err := a.command(ctx, b.path("postgres"), "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("run PostgreSQL %s as %s: %w %s", b, a.name, err, bytes.TrimSpace(out))
	}
	return nil
}

// give makes the account the owner of dir and nobody else its reader.
func (a account) give(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory, which is entered
		return err
	}
	if !a.change {
		return nil
	}
	return os.Lchown(dir, a.uid, a.gid)
}

// owns reports whether path is a directory of the account that no one else can
// write to.
func (a account) owns(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o022 == 0 && ownedBy(info, a.uid)
}

func ownedBy(info os.FileInfo, uid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid
}
