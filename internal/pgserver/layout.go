package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// layout names the files of one server.
type layout struct {
	dir string // DataDir/postgres
}

func (l layout) cluster() string      { return filepath.Join(l.dir, "cluster") }
func (l layout) serverLog() string    { return filepath.Join(l.dir, "server.log") }
func (l layout) dist() string         { return filepath.Join(l.dir, "dist") }
func (l layout) startLock() string    { return filepath.Join(l.dir, "start.lock") }
func (l layout) usersLock() string    { return filepath.Join(l.dir, "users.lock") }
func (l layout) socketRecord() string { return filepath.Join(l.dir, "socket_dir") }

// newLayout returns the layout below a data directory.
func newLayout(dataDir string) (layout, error) {
	if dataDir == "" {
		return layout{}, errors.New("no data directory given")
	}
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return layout{}, err
	}
	return layout{dir: filepath.Join(dir, "postgres")}, nil
}

// makeDir creates a directory and its missing parents. The server's user must
// be able to enter those that root creates, so they have mode 0711. Existing
// directories keep their mode.
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
		if errors.Is(err, os.ErrExist) { // another process was faster
			return nil
		}
		return err
	}
	return os.Chmod(path, mode) // independent of the umask
}

// openFile opens or creates a file and gives it to the owner of its directory,
// so that files created by root in a user's data directory do not lock the user
// out.
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
