package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileLock is a flock(2) on a file. The lock belongs to the open file, not to
// the process: two locks in one process exclude each other like those of two
// processes. The kernel releases the lock when the process dies.
type fileLock struct{ f *os.File }

func openLock(path string) (*fileLock, error) {
	f, err := openFile(path, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return &fileLock{f: f}, nil
}

// try acquires the lock if it is free; how is unix.LOCK_SH or unix.LOCK_EX.
func (l *fileLock) try(how int) (bool, error) {
	err := l.flock(how | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// acquire waits for the exclusive lock.
func (l *fileLock) acquire(ctx context.Context) error {
	return poll(ctx, func() (bool, error) { return l.try(unix.LOCK_EX) })
}

// current reports whether the path still names the locked file.
func (l *fileLock) current() bool {
	locked, err := l.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(l.f.Name())
	return err == nil && os.SameFile(locked, named)
}

// release unlocks and closes the file. Closing alone is not enough: a child
// between fork and exec shares the open file and would keep the lock.
func (l *fileLock) release() error {
	return errors.Join(l.flock(unix.LOCK_UN), l.f.Close())
}

func (l *fileLock) flock(how int) error {
	for {
		err := unix.Flock(int(l.f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("lock %s: %w", l.f.Name(), err)
			}
			return nil
		}
	}
}

// poll calls done every 20 ms until it returns true or an error, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
