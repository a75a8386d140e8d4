package cmpsim

import (
	"cmp"
	"errors"
	"fmt"
)

// NewAsset describes an upload. The zero value of each field but Title is sensible: a private image
// at the root, without labels.
type NewAsset struct {
	Title  string              `json:"title"`
	Type   string              `json:"type,omitempty"`   // default image
	Folder string              `json:"folder,omitempty"` // path or id
	Labels map[string][]string `json:"labels,omitempty"` // group to values, names or ids
	Public bool                `json:"public,omitempty"`
	Task   string              `json:"task,omitempty"` // id of the source task, which only the webhook shows (facts.md 8)
	Detail Detail              `json:"detail,omitzero"`
	// Size is the size of a video or raw file in bytes; 0 means a small file. It may exceed the
	// memory: the bytes are made as they are read. Ignored for images, whose size follows from their
	// shape.
	Size int64 `json:"size,omitempty"`
}

// AddAsset uploads an asset and returns its id. It sends asset_added.
func (l *Library) AddAsset(n NewAsset) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.newAsset(n)
	if err != nil {
		return "", fmt.Errorf("add asset %q: %w", n.Title, err)
	}
	l.catalog.put(a)
	l.publish(l.newRenderer().addedEvent(a))
	return a.id, nil
}

func (l *Library) newAsset(n NewAsset) (*asset, error) {
	c := l.catalog
	if n.Title == "" {
		return nil, fmt.Errorf("empty title: %w", ErrInvalid)
	}
	k, ok := parseKind(cmp.Or(n.Type, kindImage.info().name))
	if !ok {
		return nil, fmt.Errorf("type %q: %w", n.Type, ErrInvalid)
	}
	f, err := c.findFolder(n.Folder)
	if err != nil {
		return nil, err
	}
	picks, err := c.picks(n.Labels)
	if err != nil {
		return nil, err
	}
	r := newRand(c.seed, "added", uint64(c.nextOrdinal))
	now := l.now()
	a := &asset{
		id: hexID(r), title: n.Title, created: now, modified: now, ordinal: c.nextOrdinal, tie: r.Uint32(), version: 1,
		kind: k, public: n.Public, format: fileTypes()[k][0], folder: f, labels: picks,
	}
	c.nextOrdinal++
	d := &detail{ownerID: c.owners[0], drawnTitle: n.Title, sourceTask: n.Task}
	d.width, d.height = somePictureSize(r)
	d.size = someSize(k, d.width, d.height, r)
	if n.Size > 0 && (k == kindVideo || k == kindRawFile) {
		d.size = n.Size
	}
	a.detail = d
	n.Detail.apply(a, d)
	return a, nil
}

// DeleteAsset moves an asset to the trash: it disappears from every answer. It sends asset_removed.
func (l *Library) DeleteAsset(id string) error { return l.BulkDelete([]string{id}) }

// BulkDelete deletes many assets at once. It deletes all that live and returns an error for each id
// that does not.
func (l *Library) BulkDelete(ids []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, id := range ids {
		a, err := l.catalog.live(id)
		if err != nil {
			errs = append(errs, fmt.Errorf("delete asset %s: %w", id, err))
			continue
		}
		l.trash(a, false)
	}
	return errors.Join(errs...)
}

// RestoreAsset takes an asset out of the trash unchanged, except that its modified_at becomes now. It
// sends asset_added (inferred: facts.md 7.4) unless Behavior.SilentRestore.
func (l *Library) RestoreAsset(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.catalog.assets[id]
	if !ok || !a.trashed {
		return fmt.Errorf("restore asset %s: %w", id, ErrNotFound)
	}
	a.trashed = false
	a.modified = max(l.now(), a.created)
	l.catalog.put(a)
	if !l.behavior.SilentRestore {
		l.publish(l.newRenderer().addedEvent(a))
	}
	return nil
}
