package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// lookAhead is how many HEAD requests one Find or List has in flight.
const lookAhead = 16

// Find implements dam.Adapter: one HEAD for each hint, and two for its places in
// the archive. Without hints everything under the prefix is listed.
func (a *Adapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	doing := "find " + key.AssetID
	if key.Instance != a.instance || key.AssetID == "" {
		return dam.Remote{}, fmt.Errorf("%s of instance %q: %w: not a key of this adapter",
			doing, key.Instance, dam.ErrInvalid)
	}
	f, err := a.locate(ctx, key.AssetID, a.candidates(key.AssetID, hints))
	if err == nil && len(f.own) == 0 && len(hints) == 0 {
		f.own, err = a.search(ctx, key.AssetID)
	}
	if err != nil {
		return dam.Remote{}, classedRead(ctx, doing, err)
	}
	if len(f.own) > 0 {
		return f.remote(), nil
	}
	if len(hints) > 0 && f.foreignAt(hints[0]) {
		return dam.Remote{Path: hints[0], State: dam.Foreign}, nil
	}
	return dam.Remote{State: dam.Absent}, nil
}

// candidates are the places where an asset may be that was ever told to be at
// hints. Hints come from outside and are checked.
func (a *Adapter) candidates(assetID string, hints []string) []string {
	var all []string
	for _, h := range hints {
		if rest, archived := strings.CutPrefix(h, a.archive); archived && checkSegments(rest) == nil {
			all = append(all, h)
			continue
		}
		if a.checkPath(h) == nil {
			all = append(all, h)
			all = append(all, a.archivePlaces(assetID, h)...)
		}
	}
	return all
}

// found is what there is of an asset.
type found struct {
	looked []place
	own    []place // the asset's own, the best one first
}

func (f found) at(name string) (place, bool) {
	for _, p := range f.looked {
		if p.name == name {
			return p, true
		}
	}
	return place{}, false
}

func (f found) foreignAt(name string) bool {
	p, ok := f.at(name)
	return ok && p.exists && !p.ours
}

// generation is the highest there is.
func (f found) generation() int64 {
	var n int64
	for _, p := range f.own {
		n = max(n, p.record.Generation)
	}
	return n
}

func (f found) checkStale(generation int64) error {
	if held := f.generation(); generation < held {
		return fmt.Errorf("generation %d after %d: %w", generation, held, dam.ErrStale)
	}
	return nil
}

// intact gives the place with all the bytes.
func (f found) intact() (place, bool) {
	if len(f.own) > 0 && f.own[0].intact() {
		return f.own[0], true
	}
	return place{}, false
}

// others are the places of the asset but for one.
func (f found) others(name string) []place {
	return slices.DeleteFunc(slices.Clone(f.own), func(p place) bool { return p.name == name })
}

// remote describes the best place. While there are others a step is unfinished.
func (f found) remote() dam.Remote {
	r := f.own[0].remote()
	if len(f.own) > 1 {
		r.State = dam.Incomplete
	}
	return r
}

// locate looks at places at the same time, and at those that what it finds came
// from, since these may hold a rest of it.
func (a *Adapter) locate(ctx context.Context, assetID string, names []string) (found, error) {
	var f found
	for len(names) > 0 {
		names = f.unseen(names)
		places, err := together(ctx, names, a.look)
		if err != nil {
			return found{}, err
		}
		f.looked = append(f.looked, places...)
		names = nil
		for _, p := range places {
			if !p.of(assetID) || p.record.sidecar {
				continue
			}
			f.own = append(f.own, p)
			if p.record.from != "" {
				names = append(names, p.record.from)
			}
		}
	}
	f.sort()
	return f, nil
}

func (f *found) sort() {
	slices.SortStableFunc(f.own, func(p, q place) int {
		switch {
		case p.intact() && !q.intact():
			return -1
		case q.intact() && !p.intact():
			return 1
		}
		return cmp.Compare(q.record.Generation, p.record.Generation)
	})
}

// rest names another place of the asset than name, empty when there is none.
func (f found) rest(name string) string {
	if others := f.others(name); len(others) > 0 {
		return others[0].name
	}
	return ""
}

func (f found) unseen(names []string) []string {
	var fresh []string
	for _, name := range names {
		_, seen := f.at(name)
		if name != "" && !seen && !slices.Contains(fresh, name) {
			fresh = append(fresh, name)
		}
	}
	return fresh
}

// together looks at places at the same time.
func together(ctx context.Context, names []string, look func(context.Context, string) (place, error)) ([]place, error) {
	places := make([]place, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookAhead)
	for i, name := range names {
		g.Go(func() (err error) {
			places[i], err = look(ctx, name)
			return err
		})
	}
	return places, g.Wait()
}

// search finds an asset without hints.
func (a *Adapter) search(ctx context.Context, assetID string) ([]place, error) {
	var f found
	err := a.walk(ctx, func(p place) bool {
		if p.of(assetID) && !p.record.sidecar {
			f.own = append(f.own, p)
		}
		return true
	})
	f.sort()
	return f.own, err
}

// ReadBack implements dam.ReadBacker.
func (a *Adapter) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	doing := "read back " + r.Mark.AssetID
	name := placeOf(r)
	if name == "" {
		return nil, fmt.Errorf("%s: %w", doing, dam.ErrNotFound)
	}
	api, err := a.connect(ctx)
	if err != nil {
		return nil, classedRead(ctx, doing, err)
	}
	out, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: aws.String(a.key(name))})
	if isMissing(err) {
		return nil, fmt.Errorf("%s: %w", doing, dam.ErrNotFound)
	}
	if isRefusal(err) {
		return nil, a.refused(ctx, doing, err)
	}
	if err != nil {
		return nil, classedRead(ctx, doing, err)
	}
	at := place{name: name, exists: true}
	at.read(a, out.Metadata, aws.ToString(out.ContentType))
	if !at.ours || r.Mark.AssetID != "" && at.record.AssetID != r.Mark.AssetID {
		return nil, fmt.Errorf("%s: %w: something else is in its place", doing, errors.Join(dam.ErrNotFound, out.Body.Close()))
	}
	return out.Body, nil
}

// placeOf gives where r is: its ref when the path is not handle enough.
func placeOf(r dam.Remote) string {
	if r.Ref != "" {
		return r.Ref
	}
	return r.Path
}
