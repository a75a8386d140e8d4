package cmpsim

import (
	"fmt"
	"slices"
)

// NewAsset describes an asset that an editor uploads. Zero values are sensible:
// an image at the root without labels.
type NewAsset struct {
	Title  string              `json:"title"`
	Type   string              `json:"type,omitempty"`   // default image
	Folder string              `json:"folder,omitempty"` // path or id
	Labels map[string][]string `json:"labels,omitempty"` // group to values, names or ids
	Public bool                `json:"public,omitempty"`
	Task   string              `json:"task,omitempty"` // id of the source task, shown only in the webhook
	Detail Detail              `json:"detail,omitzero"`
	// Size is the byte count of a video or raw file, up to any number: the bytes
	// are made on the fly. 0 means a small file. Pictures have the size their
	// shape gives.
	Size int64 `json:"size,omitempty"`
}

// AddAsset uploads an asset and returns its id. It sends asset_added.
func (s *Simulator) AddAsset(n NewAsset) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.newAsset(n)
	if err != nil {
		return "", fmt.Errorf("add asset %q: %w", n.Title, err)
	}
	s.lib.put(a)
	s.hooks.publish(s.addedEvent(a))
	return a.id, nil
}

func (s *Simulator) newAsset(n NewAsset) (*asset, error) {
	if n.Title == "" {
		return nil, fmt.Errorf("empty title: %w", ErrInvalid)
	}
	k := kindImage
	if n.Type != "" {
		var ok bool
		if k, ok = parseKind(n.Type); !ok {
			return nil, fmt.Errorf("type %q: %w", n.Type, ErrInvalid)
		}
	}
	f, err := s.lib.findFolder(n.Folder)
	if err != nil {
		return nil, err
	}
	picks, err := s.lib.picks(n.Labels)
	if err != nil {
		return nil, err
	}
	r := newRand(s.opts.Seed, "added", uint64(s.lib.nextOrd))
	now := s.now()
	a := &asset{
		id: hexID(r), title: n.Title, created: now, modified: now, ordinal: s.lib.nextOrd, tie: r.Uint32(), version: 1,
		kind: k, public: n.Public, format: fileTypes()[k][0], folder: f, labels: picks,
	}
	s.lib.nextOrd++
	d := &detail{ownerID: s.lib.owners[0], drawn: n.Title, sourceTask: n.Task, tags: []string{}}
	d.width, d.height = somePictureSize(r)
	d.size = someSize(k, d.width, d.height, r)
	if n.Size > 0 && (k == kindVideo || k == kindRawFile) {
		d.size = n.Size
	}
	a.detail = d
	n.Detail.apply(a, d)
	return a, nil
}

// picks resolves label names or ids.
func (c *catalog) picks(labels map[string][]string) ([]pick, error) {
	var out []pick
	for group, values := range labels {
		g, err := c.findGroup(group)
		if err != nil {
			return nil, err
		}
		p := pick{group: g}
		for _, v := range values {
			n, ok := findNamed(g.values, v)
			if !ok {
				return nil, fmt.Errorf("find value %q of label group %q: %w", v, g.name, ErrNotFound)
			}
			p.values = append(p.values, n)
		}
		if len(p.values) > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b pick) int { return slices.Index(c.groups, a.group) - slices.Index(c.groups, b.group) })
	return out, nil
}
