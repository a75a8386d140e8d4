package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"damsync/dam"

	"golang.org/x/sys/unix"
)

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
	if s != nil {
		s.close()
	}
	err = unix.Access(dir, unix.W_OK|unix.X_OK)
	for s == nil && errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir) // where the root will be made
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return classed("check target: write to "+dir, err)
	}
	return nil
}

func (a *Adapter) missingRoot() error {
	what := "make it, or leave out create: false"
	if a.populated.Load() {
		what = "damsync has put files there: is the disk mounted?"
	}
	return fmt.Errorf("open root: %w: directory %s does not exist; %s", dam.ErrUnavailable, a.root, what)
}

// checkMarker tells an emptied or unmounted root from a new one. The marker
// once seen has to stay.
func (s *session) checkMarker() error {
	// Asked before the look: another worker may make the marker between the two.
	populated := s.a.populated.Load()
	info, err := s.stat(s.a.markerPath())
	if err != nil {
		return classed("look for marker", err)
	}
	s.existed = info != nil
	if s.existed {
		s.a.populated.Store(true)
		return nil
	}
	if populated {
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
