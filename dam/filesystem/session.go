package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"damsync/dam"
)

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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
	populated := a.populated.Load() // before the look, as for the marker
	root, err := os.OpenRoot(a.root)
	if errors.Is(err, fs.ErrNotExist) && a.create && !populated {
		if !create {
			return nil, nil
		}
		if err = os.MkdirAll(a.root, 0o755); err == nil {
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
