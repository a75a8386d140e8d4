package s3

import (
	"context"
	"errors"
	"slices"
	"strings"

	"damsync/dam"
)

// lister looks at all objects below the prefix.
type lister struct {
	client  *client
	objects *objects
}

// walk calls visit for every object, except for the adapter's own state. visit returns false
// to stop.
func (l *lister) walk(ctx context.Context, visit func(place) bool) error {
	var names []string
	for o, err := range l.client.list(ctx, "") {
		if err != nil {
			return err
		}
		if o.name == "" || strings.HasPrefix(o.name, stateDir) || strings.HasSuffix(o.name, "/") {
			continue
		}
		if names = append(names, o.name); len(names) < maxRequests {
			continue
		}
		if more, err := l.visit(ctx, names, visit); err != nil || !more {
			return err
		}
		names = names[:0]
	}
	_, err := l.visit(ctx, names, visit)
	return err
}

func (l *lister) visit(ctx context.Context, names []string, visit func(place) bool) (more bool, err error) {
	places, err := lookAll(ctx, names, l.look)
	if err != nil {
		return false, err
	}
	for _, p := range places {
		if p.exists && !visit(p) {
			return false, nil
		}
	}
	return true, nil
}

// look repeats a request that fails temporarily, because the core cannot once the listing has
// begun. An object that the server does not show is foreign and does not end the listing.
func (l *lister) look(ctx context.Context, name string) (at place, err error) {
	err = dam.Repeat(ctx, func() error {
		at, err = l.objects.look(ctx, name)
		return err
	})
	if errors.Is(err, errRefused) {
		return place{name: name, exists: true}, nil
	}
	return at, err
}

// list passes each object to yield as Find would return it, those of one asset once. It
// reports whether yield wanted them all.
func (l *lister) list(ctx context.Context, yield func(dam.Remote, error) bool) (all bool, err error) {
	seen, all := map[string]bool{}, true
	err = l.walk(ctx, func(p place) bool {
		r := dam.Remote{Path: p.name, State: dam.Foreign}
		switch {
		case p.record.sidecar, p.ours && seen[p.record.AssetID]: // the sidecar may be another owner's
			return true
		case p.ours:
			seen[p.record.AssetID] = true
			r = p.remote()
		}
		all = yield(r, nil)
		return all
	})
	return all, err
}

// search finds an asset by listing everything.
func (l *lister) search(ctx context.Context, assetID string) (findings, error) {
	var f findings
	err := l.walk(ctx, func(p place) bool {
		if p.of(assetID) && !p.record.sidecar {
			f.own = append(f.own, p)
		}
		return true
	})
	slices.SortStableFunc(f.own, bestFirst)
	return f, err
}
