package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// acquire takes the lock of the whole root against goroutines and processes.
// It is held for a few renames, so waiting is short.
func (s *session) acquire(ctx context.Context) error {
	select {
	case s.a.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for lock: %w", ctx.Err())
	}
	f, err := s.lockRoot(ctx)
	if err != nil {
		<-s.a.lock
		return classed("lock root", err)
	}
	s.unlock = func() {
		f.Close() //nolint:errcheck // closing releases the lock
		<-s.a.lock
	}
	return nil
}

func (s *session) lockRoot(ctx context.Context) (*os.File, error) {
	f, err := s.root.OpenFile(lockFile, os.O_RDONLY|os.O_CREATE, 0o644)
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		f, err = s.root.Open(lockFile)
	}
	if err != nil {
		return nil, err
	}
	const pause = 5 * time.Millisecond
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(pause):
		}
	}
}
