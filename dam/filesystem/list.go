package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// List implements dam.Adapter. It holds no lock between two answers.
func (a *Adapter) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		s, err := a.read(ctx)
		if err != nil {
			yield(dam.Remote{}, classed("list", err))
			return
		}
		if s == nil {
			return
		}
		defer s.close()
		s.release()
		l := lister{session: s, seen: map[string]bool{}, yield: yield}
		if err := l.walk(ctx); err != nil && !errors.Is(err, fs.SkipAll) {
			yield(dam.Remote{}, classed("list", err))
		}
	}
}

type lister struct {
	*session
	seen  map[string]bool // assets told already
	yield func(dam.Remote, error) bool
}

func (l *lister) walk(ctx context.Context) error {
	return fs.WalkDir(l.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist) && p != ".":
			return nil // gone since its directory was read
		case err != nil:
			return err
		case p == stateDir:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		return l.tell(ctx, p)
	})
}

// tell answers for one file. A sidecar is told with its file, or alone.
func (l *lister) tell(ctx context.Context, p string) error {
	place := strings.TrimSuffix(p, sidecar.Suffix)
	at, err := l.look(place)
	switch {
	case err != nil:
		return err
	case at.free() || place != p && at.file != nil:
		return nil
	case !at.ours:
		return l.answer(dam.Remote{Path: p, State: dam.Foreign})
	case l.seen[at.sidecar.AssetID]:
		return nil
	}
	l.seen[at.sidecar.AssetID] = true
	r, err := l.a.Find(ctx, dam.Key{Instance: l.a.instance, AssetID: at.sidecar.AssetID}, []string{place})
	if err != nil {
		return err
	}
	if r.State == dam.Absent || r.State == dam.Foreign {
		return nil // went between two looks
	}
	return l.answer(r)
}

func (l *lister) answer(r dam.Remote) error {
	if !l.yield(r, nil) {
		return fs.SkipAll
	}
	return nil
}

// ReadBack implements dam.ReadBacker. The file opened stays readable when it is
// replaced meanwhile.
func (a *Adapter) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	f, err := a.readBack(ctx, r)
	if err != nil {
		return nil, classed("read back "+r.Mark.AssetID, err)
	}
	return f, nil
}

func (a *Adapter) readBack(ctx context.Context, r dam.Remote) (*os.File, error) {
	s, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, dam.ErrNotFound
	}
	defer s.close()
	found, err := s.locate(r.Mark.AssetID, r.Ref, r.Path)
	if err != nil {
		return nil, err
	}
	for _, at := range found.places {
		if regular(at) {
			return s.root.Open(at.path)
		}
	}
	return nil, fmt.Errorf("%w: no file of it", dam.ErrNotFound)
}
