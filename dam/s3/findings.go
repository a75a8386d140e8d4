package s3

import (
	"cmp"
	"fmt"
	"slices"

	"damsync/dam"
)

// findings are the places that were looked at for one asset.
type findings struct {
	looked []place
	own    []place // with objects of the asset, the best one first
}

func (f findings) at(name string) (place, bool) {
	for _, p := range f.looked {
		if p.name == name {
			return p, true
		}
	}
	return place{}, false
}

// unseen returns the names that were not looked at, each once.
func (f findings) unseen(names []string) []string {
	var fresh []string
	for _, name := range names {
		_, seen := f.at(name)
		if name != "" && !seen && !slices.Contains(fresh, name) {
			fresh = append(fresh, name)
		}
	}
	return fresh
}

// bestFirst orders intact objects before others, then by falling generation.
func bestFirst(p, q place) int {
	switch {
	case p.intact() && !q.intact():
		return -1
	case q.intact() && !p.intact():
		return 1
	}
	return cmp.Compare(q.record.Generation, p.record.Generation)
}

// intact returns the best object, if it is intact.
func (f findings) intact() (place, bool) {
	if len(f.own) > 0 && f.own[0].intact() {
		return f.own[0], true
	}
	return place{}, false
}

// others returns the objects of the asset except for the one at name.
func (f findings) others(name string) []place {
	return slices.DeleteFunc(slices.Clone(f.own), func(p place) bool { return p.name == name })
}

// origin returns a name other than the given one that has an object of the asset, or "".
func (f findings) origin(name string) string {
	if others := f.others(name); len(others) > 0 {
		return others[0].name
	}
	return ""
}

// checkStale returns dam.ErrStale when the asset has an object of a higher generation.
func (f findings) checkStale(generation int64) error {
	for _, p := range f.own {
		if p.record.Generation > generation {
			return fmt.Errorf("generation %d after %d: %w", generation, p.record.Generation, dam.ErrStale)
		}
	}
	return nil
}

// claimPath reports whether the asset may have the name, because nothing or its own object
// is there. It returns false when an unmarked object is, dam.Conflict when another asset's
// is, and dam.ErrForeign when the object carries the mark of another owner.
func (f findings) claimPath(assetID, name string) (at place, free bool, err error) {
	at, looked := f.at(name)
	if !looked {
		return place{name: name}, true, nil
	}
	switch {
	case !at.exists, at.of(assetID) && !at.record.sidecar:
		return at, true, nil
	case at.ours && !at.record.sidecar:
		return at, false, &dam.Conflict{Path: name, Holder: at.record.AssetID}
	case at.marked:
		return at, false, fmt.Errorf("%s carries the ownership mark of another installation or target: %w", name, dam.ErrForeign)
	}
	return at, false, nil
}

// remote describes the best object. While there are several, a write is unfinished.
func (f findings) remote() dam.Remote {
	r := f.own[0].remote()
	if len(f.own) > 1 {
		r.State = dam.Incomplete
	}
	return r
}
