package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"damsync/dam"

	"golang.org/x/sys/unix"
)

// leftoverAge is how long an unfinished file is left alone: longer than any
// download takes without a byte arriving.
const leftoverAge = 24 * time.Hour

// session is one call's view of the tree. The root is opened anew for each call,
// so that a disk mounted over it is seen.
type session struct {
	*tree
	a       *Adapter
	unlock  func()
	existed bool // the marker is there
}

func (s *session) close() {
	s.release()
	s.root.Close() //nolint:errcheck // a directory opened for reading
}

func (s *session) release() {
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
}

// read opens a session for looking. A nil session is a root that is still to be
// made: nothing is there.
func (a *Adapter) read(ctx context.Context) (*session, error) {
	s, err := a.open(false)
	if s == nil || err != nil {
		return nil, err
	}
	if s.existed {
		err = s.acquire(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// write opens a session for changing and holds the lock.
func (a *Adapter) write(ctx context.Context) (*session, error) {
	s, err := a.open(a.create)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, a.missingRoot()
	}
	err = s.setUp()
	if err == nil {
		err = s.acquire(ctx)
	}
	if err == nil && a.cleaned.CompareAndSwap(false, true) {
		err = s.clean()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open opens the root and looks for the marker. nil without error: there is no
// root and there may be none yet.
func (a *Adapter) open(create bool) (*session, error) {
	root, err := os.OpenRoot(a.root)
	if errors.Is(err, fs.ErrNotExist) && a.create && !a.populated.Load() {
		if !create {
			return nil, nil
		}
		if err = os.Mkdir(a.root, 0o755); err == nil || errors.Is(err, fs.ErrExist) {
			root, err = os.OpenRoot(a.root)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a.missingRoot()
	}
	if err != nil {
		return nil, fmt.Errorf("open root: %w: %w", dam.ErrUnavailable, err)
	}
	s := &session{tree: &tree{root: root, temp: a.tempDir(), fault: a.fault}, a: a}
	if err := s.checkMarker(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (a *Adapter) missingRoot() error {
	what := "make it, or set create: true"
	switch {
	case a.populated.Load():
		what = "damsync has put files there: is the disk mounted?"
	case a.create:
		what = fmt.Sprintf("its parent %s does not exist either: make that", filepath.Dir(a.root))
	}
	return fmt.Errorf("open root: %w: directory %s does not exist; %s", dam.ErrUnavailable, a.root, what)
}

// checkMarker tells an emptied or unmounted root from a new one. The marker
// once seen has to stay.
func (s *session) checkMarker() error {
	info, err := s.stat(s.a.markerPath())
	if err != nil {
		return classed("look for marker", err)
	}
	s.existed = info != nil
	if s.existed {
		s.a.populated.Store(true)
		return nil
	}
	if s.a.populated.Load() {
		return fmt.Errorf("look for marker: %w: damsync has put files under %s, but %s is not there: is the disk mounted? "+
			"If it was emptied on purpose, make that file (empty will do) and all assets are pushed anew",
			dam.ErrUnavailable, s.a.root, s.a.markerPath())
	}
	return nil
}

// setUp makes the adapter's own directories and, last, the marker.
func (s *session) setUp() error {
	if info, err := s.stat(s.temp); err != nil || !s.existed || info == nil {
		if err := errors.Join(err, s.mkdirAll(s.temp)); err != nil {
			return classed("make state directory", err)
		}
	}
	if s.existed {
		return nil
	}
	marker := map[string]string{"instance": s.a.instance, "target": s.a.target}
	if err := s.writeJSON(s.a.markerPath(), marker); err != nil {
		return classed("write marker", err)
	}
	s.existed = true
	s.a.populated.Store(true)
	return nil
}

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

// clean removes what crashed runs left in tmp. Only files are removed that bear
// the adapter's own kind of name and are older than any living one.
func (s *session) clean() error {
	entries, err := fs.ReadDir(s.root.FS(), s.temp)
	if err != nil {
		return classed("list unfinished files", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		ours := strings.HasPrefix(e.Name(), "new-") || strings.HasPrefix(e.Name(), "gone-")
		if err != nil || !ours || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if err := s.remove(path.Join(s.temp, e.Name())); err != nil {
			return classed("remove unfinished file", err)
		}
	}
	return nil
}

// Check implements dam.Adapter.
func (a *Adapter) Check(ctx context.Context, populated bool) error {
	if populated {
		a.populated.Store(true)
	}
	s, err := a.read(ctx)
	if err != nil {
		return fmt.Errorf("check target: %w", err)
	}
	dir := a.root
	if s == nil {
		dir = filepath.Dir(a.root)
	} else {
		s.close()
	}
	err = unix.Access(dir, unix.W_OK|unix.X_OK)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.missingRoot()
	}
	if err != nil {
		return classed("check target: write to "+dir, err)
	}
	return nil
}
