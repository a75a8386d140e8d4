package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"damsync/dam"
)

// session is one call's view of the tree. Each call opens the root anew, so that
// it sees a disk that was mounted over it.
type session struct {
	journal
	a      *Adapter
	unlock func() // nil while the lock is not held
	marked bool   // the marker exists
}

// openRead opens a session that reads. It is nil when the root does not exist yet
// and may still be created: the target is empty.
func openRead(ctx context.Context, a *Adapter) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := openSession(a, false)
	if s == nil || err != nil {
		return nil, err
	}
	if s.marked {
		err = s.acquire(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openWrite opens a session that writes, with the lock held.
func openWrite(ctx context.Context, a *Adapter) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := openSession(a, a.create)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, missingRoot(a)
	}
	err = s.setUp()
	if err == nil {
		err = s.acquire(ctx)
	}
	if err == nil && a.cleaned.CompareAndSwap(false, true) {
		err = s.removeLeftovers()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openSession opens the root and looks for the marker. It returns nil without an
// error when the root does not exist and need not exist yet.
func openSession(a *Adapter, create bool) (*session, error) {
	populated := a.populated.Load() // before the look, as in checkMarker
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
		return nil, missingRoot(a)
	}
	if err != nil {
		return nil, fmt.Errorf("open root: %w: %w", dam.ErrUnavailable, err)
	}
	t := &tree{root: root, home: a.home, instance: a.instance, target: a.target, fault: a.fault}
	s := &session{journal: journal{t}, a: a}
	if err := s.checkMarker(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func missingRoot(a *Adapter) error {
	advice := "create it, or remove create: false"
	if a.populated.Load() {
		advice = "damsync has put files there: is the disk mounted?"
	}
	return fmt.Errorf("open root: %w: directory %s does not exist; %s", dam.ErrUnavailable, a.root, advice)
}

func (s *session) close() {
	s.release()
	s.root.Close() //nolint:errcheck // a directory opened for reading
}

func (s *session) acquire(ctx context.Context) (err error) {
	s.unlock, err = s.a.lock.acquire(ctx, s.root)
	return err
}

func (s *session) release() {
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
}

// checkMarker distinguishes an emptied or unmounted root from a new one: a marker
// that was seen once has to stay.
func (s *session) checkMarker() error {
	// Loaded before the look: another worker may write the marker between the two.
	populated := s.a.populated.Load()
	info, err := s.stat(s.home.markerPath())
	if err != nil {
		return classed("look for marker", err)
	}
	s.marked = info != nil
	if s.marked {
		s.a.populated.Store(true)
		return nil
	}
	if populated {
		return fmt.Errorf("look for marker: %w: damsync has put files under %s, but %s does not exist: is the disk mounted? "+
			"If it was emptied on purpose, create that file (it may be empty), and all assets are pushed again",
			dam.ErrUnavailable, s.a.root, s.home.markerPath())
	}
	return nil
}

// setUp creates the adapter's own directories and, last, the marker.
func (s *session) setUp() error {
	if info, err := s.stat(s.home.tempDir()); err != nil || !s.marked || info == nil {
		if err := errors.Join(err, s.mkdirAll(s.home.tempDir())); err != nil {
			return classed("create state directory", err)
		}
	}
	if s.marked {
		return nil
	}
	marker := map[string]string{"instance": s.a.instance, "target": s.a.target}
	if err := writeJSON(s.tree, s.home.markerPath(), marker); err != nil {
		return classed("write marker", err)
	}
	s.marked = true
	s.a.populated.Store(true)
	return nil
}

// leftoverAge is the age at which an unfinished file is a leftover: no download
// goes on for so long without a byte.
const leftoverAge = 24 * time.Hour

// removeLeftovers removes the unfinished files of runs that crashed. Files under
// other names than the adapter's own stay.
func (s *session) removeLeftovers() error {
	entries, err := fs.ReadDir(s.root.FS(), s.home.tempDir())
	if err != nil {
		return classed("list unfinished files", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		ours := strings.HasPrefix(e.Name(), "new-") || strings.HasPrefix(e.Name(), "gone-")
		if err != nil || !ours || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if err := s.remove(path.Join(s.home.tempDir(), e.Name())); err != nil {
			return classed("remove unfinished file", err)
		}
	}
	return nil
}
