package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// lister yields the answers of one listing.
type lister struct {
	*session
	seen  map[string]bool // assets yielded
	yield func(dam.Remote, error) bool
}

func list(ctx context.Context, a *Adapter, yield func(dam.Remote, error) bool) error {
	s, err := openRead(ctx, a)
	if s == nil || err != nil {
		return err
	}
	defer s.close()
	s.release()
	l := lister{session: s, seen: map[string]bool{}, yield: yield}
	if err := l.walk(ctx); !errors.Is(err, fs.SkipAll) {
		return err
	}
	return nil
}

func (l *lister) walk(ctx context.Context) error {
	return fs.WalkDir(l.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist) && p != ".":
			return nil // removed since its directory was read
		case err != nil:
			return err
		case p == stateDir:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		return l.visit(ctx, p)
	})
}

// visit yields the answer for one file. A sidecar counts only when its file is gone.
func (l *lister) visit(ctx context.Context, p string) error {
	name := strings.TrimSuffix(p, sidecar.Suffix)
	at, err := look(l.tree, name)
	switch {
	case err != nil:
		return err
	case at.free() || name != p && at.file != nil:
		return nil
	case !at.ours:
		return l.answer(dam.Remote{Path: p, State: dam.Foreign})
	case l.seen[at.sidecar.AssetID]:
		return nil
	}
	l.seen[at.sidecar.AssetID] = true
	r, err := l.a.Find(ctx, dam.Key{Instance: l.a.instance, AssetID: at.sidecar.AssetID}, []string{name})
	if err != nil {
		return err
	}
	if r.State == dam.Absent || r.State == dam.Foreign {
		return nil // changed between the two looks
	}
	return l.answer(r)
}

func (l *lister) answer(r dam.Remote) error {
	if !l.yield(r, nil) {
		return fs.SkipAll
	}
	return nil
}
