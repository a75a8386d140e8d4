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

// rootLock excludes all other calls that work on the same root: those of this
// adapter by the channel, those of other adapters and processes by flock.
type rootLock chan struct{}

func newRootLock() rootLock { return make(rootLock, 1) }

// acquire waits for the lock. It is held for a few renames, so waits are short.
func (l rootLock) acquire(ctx context.Context, root *os.Root) (release func(), err error) {
	select {
	case l <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for lock: %w", ctx.Err())
	}
	f, err := openLocked(ctx, root)
	if err != nil {
		<-l
		return nil, classed("lock root", err)
	}
	return func() {
		f.Close() //nolint:errcheck // closing releases the lock
		<-l
	}, nil
}

func openLocked(ctx context.Context, root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(lockFile, os.O_RDONLY|os.O_CREATE, 0o644)
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		f, err = root.Open(lockFile)
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
