package pgserver

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Remove stops the server of a data directory, if one is still running, and
// deletes its cluster and all its other files. It returns ErrInUse while a
// process uses the server.
func Remove(ctx context.Context, dataDir string) error {
	l, err := newLayout(dataDir)
	if err != nil || !exists(l.dir) {
		return err
	}
	lock, err := lockStart(ctx, l, 10*time.Second)
	if errors.Is(err, os.ErrNotExist) { // another process has removed it
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(removeLocked(ctx, l), lock.release())
}

// removeLocked implements Remove. The caller holds the start lock.
func removeLocked(ctx context.Context, l layout) error {
	users, err := openLock(l.usersLock())
	if err != nil {
		return err
	}
	if ok, err := users.try(unix.LOCK_EX); err != nil || !ok {
		return errors.Join(ErrInUse, err, users.release())
	}
	return errors.Join(stopAndDelete(ctx, l), users.release())
}

func stopAndDelete(ctx context.Context, l layout) error {
	if err := (&instance{layout: l}).stop(ctx); err != nil {
		return err
	}
	socketDir, err := l.recordedSocketDir()
	if err == nil && socketDir != "" {
		err = os.RemoveAll(socketDir)
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(l.dir)
}
