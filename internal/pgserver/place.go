package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// port only names the socket's file.
	port = "5432"
	// maxSocketPath is what fits the address of a Unix socket everywhere: 108
	// bytes on Linux, 104 on macOS and the BSDs, with a NUL at the end.
	maxSocketPath = 103
	// systemHome holds clusters of root's data directories that the server's
	// user cannot enter.
	systemHome = "/var/lib/damsync"
)

// place is where one server keeps its files; state and home are the same
// unless the server's user cannot enter state.
type place struct {
	state string // DataDir/postgres: locks and records, this process's user only
	home  string // cluster, log and dist
}

func (p place) cluster() string { return filepath.Join(p.home, "cluster") }
func (p place) log() string     { return filepath.Join(p.home, "server.log") }
func (p place) dist() string    { return filepath.Join(p.home, "dist") }

func (p place) startLock() string      { return filepath.Join(p.state, "start.lock") }
func (p place) usersLock() string      { return filepath.Join(p.state, "users.lock") }
func (p place) locationRecord() string { return filepath.Join(p.state, "location") }
func (p place) socketRecord() string   { return filepath.Join(p.state, "socket_dir") }

// newPlace creates the state directory of a data directory.
func newPlace(dataDir string) (place, error) {
	if dataDir == "" {
		return place{}, errors.New("no data directory given")
	}
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return place{}, err
	}
	state := filepath.Join(abs, "postgres")
	if err := makeDir(state); err != nil {
		return place{}, fmt.Errorf("create data directory: %w", err)
	}
	return place{state: state, home: state}, nil
}

// makeDir creates a directory and its missing parents. Root's may be entered,
// not listed, by everybody, because the server's user has to pass; a directory
// that exists keeps its mode.
func makeDir(path string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, os.ErrExist) { // another process made it meanwhile
			return nil
		}
		return err
	}
	return os.Chmod(path, mode) // whatever the umask
}

// locate follows the record of a home elsewhere.
func (p place) locate() (place, error) {
	home, err := readRecord(p.locationRecord())
	if err != nil || home == "" {
		return p, err
	}
	info, err := os.Lstat(home)
	if err != nil {
		return p, fmt.Errorf("the private PostgreSQL of %s was kept in %s: %w\nput that directory back, or delete %s to begin with an empty database",
			filepath.Dir(p.state), home, err, p.locationRecord())
	}
	if !info.IsDir() || !ownedBy(info, os.Geteuid()) || info.Mode().Perm()&0o022 != 0 {
		return p, fmt.Errorf("%s, recorded in %s, is not a directory that only this user can write to", home, p.locationRecord())
	}
	p.home = home
	return p, nil
}

// settle finds a home that the account can enter: the state directory, or one
// it makes elsewhere and records. moved tells that it made one.
func (p place) settle(ctx context.Context, a account) (_ place, moved bool, _ error) {
	if !a.change {
		return p, false, nil
	}
	cause := a.reaches(ctx, p.home)
	if cause == nil {
		return p, false, nil
	}
	if p.home != p.state || exists(p.cluster()) {
		return p, false, unreachable(a, p.home, cause)
	}
	home, err := otherHome(p.state)
	if err != nil {
		return p, false, err
	}
	if err := a.reaches(ctx, home); err != nil {
		return p, false, errors.Join(unreachable(a, p.home, cause), os.Remove(home))
	}
	if err := writeRecord(p.locationRecord(), home); err != nil {
		return p, false, err
	}
	p.home = home
	return p, true, nil
}

// otherHome makes a directory that lasts as long as state does: temporary for
// what is temporary. Its name is not predictable, so nobody can have laid
// something there.
func otherHome(state string) (string, error) {
	parent := systemHome
	if within(os.TempDir(), state) {
		parent = os.TempDir()
	} else if err := makeDir(parent); err != nil {
		return "", err
	}
	home, err := os.MkdirTemp(parent, "damsync-pg-")
	if err != nil {
		return "", err
	}
	return home, os.Chmod(home, 0o711) //nolint:gosec // the server's user has to pass
}

func unreachable(a account, dir string, cause error) error {
	return &classError{
		text: fmt.Sprintf("the private PostgreSQL runs as user %s, who cannot enter %s\nallow it (chmod o+x on that directory and those above it), or choose another data_dir, or run damsync as an ordinary user",
			a.name, dir),
		class: ErrUnreachable, cause: cause,
	}
}

// socketDir returns the directory for the socket, which belongs to the account
// and which no other user can enter: in the home, or a recorded short one in
// the temporary directory when that path does not suit a socket.
func (p place) socketDir(ctx context.Context, a account) (string, error) {
	dir := filepath.Join(p.home, "socket")
	if fitsSocket(dir) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
		return dir, a.give(dir)
	}
	dir, err := readRecord(p.socketRecord())
	if err != nil {
		return "", err
	}
	if dir != "" && a.owns(dir) {
		return dir, nil
	}
	return p.shortSocketDir(ctx, a)
}

func (p place) shortSocketDir(ctx context.Context, a account) (string, error) {
	var failed error
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "damsync-")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		err = a.give(dir)
		if err == nil && !fitsSocket(dir) {
			err = fmt.Errorf("the path %s does not suit a socket", dir)
		}
		if err == nil && a.change {
			err = a.reaches(ctx, dir)
		}
		if err == nil {
			return dir, writeRecord(p.socketRecord(), dir)
		}
		failed = errors.Join(failed, err, os.Remove(dir))
	}
	return "", fmt.Errorf("make a directory for the socket: %w", failed)
}

// fitsSocket reports whether a socket can be in dir: the path may not be too
// long, nor hold the comma that separates hosts in a connection URL.
func fitsSocket(dir string) bool {
	return len(filepath.Join(dir, ".s.PGSQL."+port)) <= maxSocketPath && !strings.Contains(dir, ",")
}

// readRecord returns the one line of a record, empty when there is none.
func readRecord(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSuffix(string(text), "\n"), err
}

// writeRecord replaces a record in one step.
func writeRecord(path, line string) error {
	f, err := openFile(path+".new", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// openFile opens or creates a file that belongs to the owner of its directory,
// so that what root does in a user's data directory does not shut the user out.
func openFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil || os.Geteuid() != 0 {
		return f, err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err == nil {
		if st, ok := dir.Sys().(*syscall.Stat_t); ok {
			err = f.Chown(int(st.Uid), int(st.Gid))
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// within reports whether path is below dir, links resolved where possible.
func within(dir, path string) bool {
	rel, err := filepath.Rel(resolved(dir), resolved(path))
	return err == nil && filepath.IsLocal(rel) && rel != "."
}

func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}
