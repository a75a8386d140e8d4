package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileLock is a flock(2) on a file. Such a lock belongs to the open file, not
// to the process: two in one process exclude each other as two processes do,
// and the kernel releases it when the process dies.
type fileLock struct{ f *os.File }

func openLock(path string) (*fileLock, error) {
	f, err := openFile(path, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return &fileLock{f: f}, nil
}

// try takes the lock if it is free: how is unix.LOCK_SH or unix.LOCK_EX.
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

// current reports that the file locked is still the one of that name.
func (l *fileLock) current() bool {
	mine, err := l.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(l.f.Name())
	return err == nil && os.SameFile(mine, named)
}

// release gives the lock back and closes the file. It unlocks in so many words
// because a child between fork and exec still shares the open file, and would
// keep the lock for that moment.
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

// poll calls done until it reports true or an error, or ctx ends.
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
