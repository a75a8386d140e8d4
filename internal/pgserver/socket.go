package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

const (
	// port appears only in the name of the socket's file.
	port = "5432"
	// maxSocketPath is the longest path that fits into the address of a Unix
	// socket on every system: the field has 108 bytes on Linux and 104 on macOS
	// and the BSDs, including the terminating NUL.
	maxSocketPath = 103
)

// connectURL returns the address of a database behind a socket.
func connectURL(socketDir, port, database string) string {
	query := url.Values{"host": {socketDir}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme: "postgres", User: url.User(userName), Path: "/" + database,
		RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20"), // libpq does not decode a plus
	}
	return u.String()
}

// socketDir returns a directory for the socket that belongs to the account and
// that no other user can enter. It is below l.dir, or in the temporary
// directory, and then recorded, if that path is not suitable.
func (l layout) socketDir(ctx context.Context, a account) (string, error) {
	dir := filepath.Join(l.dir, "socket")
	if suitsSocket(dir) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
		return dir, a.handOver(dir)
	}
	dir, err := l.recordedSocketDir()
	if err != nil {
		return "", err
	}
	if dir != "" && a.owns(dir) {
		return dir, nil
	}
	return l.shortSocketDir(ctx, a)
}

// shortSocketDir creates and records a directory with a short path.
func (l layout) shortSocketDir(ctx context.Context, a account) (string, error) {
	var failed error
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "damsync-")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		err = a.handOver(dir)
		if err == nil && !suitsSocket(dir) {
			err = fmt.Errorf("path %s is not suitable for a socket", dir)
		}
		if err == nil && a.switchUser {
			err = a.tryEnter(ctx, dir)
		}
		if err == nil {
			return dir, l.recordSocketDir(dir)
		}
		failed = errors.Join(failed, err, os.Remove(dir))
	}
	return "", fmt.Errorf("create directory for the socket: %w", failed)
}

// suitsSocket reports whether a socket can be in dir. The path must fit into a
// socket address and must not contain a comma, which separates hosts in a
// connection URL.
func suitsSocket(dir string) bool {
	return len(filepath.Join(dir, ".s.PGSQL."+port)) <= maxSocketPath && !strings.Contains(dir, ",")
}

// recordedSocketDir returns the recorded directory, or "" if there is none.
func (l layout) recordedSocketDir() (string, error) {
	text, err := os.ReadFile(l.socketRecord())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSuffix(string(text), "\n"), err
}

// recordSocketDir replaces the record atomically.
func (l layout) recordSocketDir(dir string) error {
	path := l.socketRecord()
	f, err := openFile(path+".new", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteString(dir + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
