package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"damsync/internal/pgserver"
)

// sharedDir returns the data directory that all test binaries of this user
// share. It is kept between runs to save the time of initdb. Its name depends on
// everything that can make its cluster unusable: the PostgreSQL installation,
// and the boot of the machine, because a cluster without fsync may be damaged
// after a crash.
func sharedDir(ctx context.Context) (string, error) {
	bin, err := pgserver.Find(ctx, pgserver.Lookup{})
	if err != nil {
		return "", fmt.Errorf("%w\ninstall PostgreSQL (apt-get install postgresql), or set DAMSYNC_TEST_DATABASE_URL or DAMSYNC_PG_BIN", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(boot, "%s %s", bin.Dir, bin.Version))
	prefix := filepath.Join(os.TempDir(), fmt.Sprintf("damsync-test-%d-", os.Getuid()))
	dir := prefix + hex.EncodeToString(sum[:4])
	if err := claim(dir); err != nil {
		return "", err
	}
	return dir, removeObsolete(ctx, prefix, dir)
}

// claim creates the directory. The name is predictable, so claim rejects an
// existing directory that another user created or can write to.
//
//nolint:gosec // the tester chooses TMPDIR
func claim(dir string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 { // the server's user must be able to enter
		mode = 0o711
	}
	if err := os.Mkdir(dir, mode); err == nil {
		return os.Chmod(dir, mode)
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only this user can write to", dir)
	}
	return nil
}

// removeObsolete deletes the unused directories of other PostgreSQL versions
// and earlier boots.
func removeObsolete(ctx context.Context, prefix, keep string) error {
	dirs, err := filepath.Glob(prefix + "*")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if dir == keep || claim(dir) != nil {
			continue
		}
		err := pgserver.Remove(ctx, dir)
		if err == nil {
			err = os.RemoveAll(dir)
		}
		if err != nil && !errors.Is(err, pgserver.ErrInUse) && !errors.Is(err, pgserver.ErrUnavailable) {
			return fmt.Errorf("remove obsolete test server: %w", err)
		}
	}
	return nil
}
