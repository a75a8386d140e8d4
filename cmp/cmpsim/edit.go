package cmpsim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrInvalid is the class of errors about edits that make no sense.
var ErrInvalid = errors.New("invalid")

// Detail is an edit of what the list does not show; nil leaves a value alone.
type Detail struct {
	Description *string    `json:"description,omitempty"`
	AltText     *string    `json:"alt_text,omitempty"`
	Attribution *string    `json:"attribution_text,omitempty"`
	Tags        *[]string  `json:"tags,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"` // the zero time clears it
	Public      *bool      `json:"is_public,omitempty"`
	SEIndexing  *bool      `json:"allow_se_indexing,omitempty"`
}

// effect is what an edit does beside itself.
type effect struct{ touch, event bool }

// seen is the effect of the edits that fire asset_modified by the documents:
// title, description, labels, location, versions.
func seen() effect { return effect{true, true} }

// quietEffect is the effect of the other edits, which is not documented.
func (b Behavior) quietEffect() effect { return effect{!b.SilentDetails, b.EventsOnDetails} }

// edit runs change on a living asset and then does what its effect asks.
func (s *Simulator) edit(id string, change func(*asset) (effect, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.lib.live(id)
	if !ok {
		return fmt.Errorf("edit asset %s: %w", id, ErrNotFound)
	}
	e, err := change(a)
	if err != nil {
		return fmt.Errorf("edit asset %s: %w", id, err)
	}
	s.settle(a, e)
	return nil
}

func (s *Simulator) settle(a *asset, e effect) {
	if e.touch {
		s.lib.touch(a, s.now())
	}
	if e.event {
		s.hooks.publish(s.modifiedEvent(a))
	}
}

func (d Detail) apply(a *asset, to *detail) {
	set(d.Description, &to.description)
	set(d.AltText, &to.alt)
	set(d.Attribution, &to.attribution)
	set(d.Tags, &to.tags)
	set(d.Public, &a.public)
	if d.SEIndexing != nil {
		to.noIndex = !*d.SEIndexing
	}
	if d.ExpiresAt != nil {
		to.expires = 0
		if !d.ExpiresAt.IsZero() {
			to.expires = d.ExpiresAt.Unix()
		}
	}
}

func set[T any](from, to *T) {
	if from != nil {
		*to = *from
	}
}

// EditTitle renames an asset; its file stays as it was made.
func (s *Simulator) EditTitle(id, title string) error {
	return s.edit(id, func(a *asset) (effect, error) {
		if title == "" {
			return effect{}, fmt.Errorf("empty title: %w", ErrInvalid)
		}
		s.lib.ownDetail(a) // keeps the title the file was made under
		a.title = title
		return seen(), nil
	})
}

// SetDetail changes what only the detail shows. A description moves modified_at
// and sends asset_modified; for the rest see Behavior.
func (s *Simulator) SetDetail(id string, d Detail) error {
	return s.edit(id, func(a *asset) (effect, error) {
		d.apply(a, s.lib.ownDetail(a))
		if d.Description != nil {
			return seen(), nil
		}
		return s.behavior.quietEffect(), nil
	})
}

// SetLabels replaces all labels: group to values, each by name or id.
func (s *Simulator) SetLabels(id string, labels map[string][]string) error {
	return s.edit(id, func(a *asset) (effect, error) {
		picks, err := s.lib.picks(labels)
		if err != nil {
			return effect{}, err
		}
		a.labels = picks
		return seen(), nil
	})
}

// SetField sets a custom field by name or id; choices by name or id. No values
// leaves the field attached and empty. A label field is set with SetLabels.
func (s *Simulator) SetField(id, field string, values ...string) error {
	return s.edit(id, func(a *asset) (effect, error) {
		def, err := s.lib.findField(field)
		if err != nil {
			return effect{}, err
		}
		if def.asksLabels != nil {
			return effect{}, fmt.Errorf("field %q mirrors labels: %w", field, ErrInvalid)
		}
		v, err := def.resolve(values)
		if err != nil {
			return effect{}, err
		}
		d := s.lib.ownDetail(a)
		if i := slices.IndexFunc(d.fields, func(v fieldValue) bool { return v.def == def }); i >= 0 {
			d.fields[i].values = v
		} else {
			d.fields = append(d.fields, fieldValue{def, v})
		}
		return effect{!s.behavior.SilentFields, s.behavior.EventsOnDetails}, nil
	})
}

func (d *fieldDef) resolve(values []string) ([]string, error) {
	if d.choices == nil {
		return slices.Clone(values), nil
	}
	var out []string
	for _, v := range values {
		n, ok := findNamed(d.choices, v)
		if !ok {
			return nil, fmt.Errorf("find choice %q of field %q: %w", v, d.name, ErrNotFound)
		}
		out = append(out, n.id)
	}
	return out, nil
}

// MoveAsset puts an asset into a folder, by path or id; "/" is the root.
func (s *Simulator) MoveAsset(id, to string) error {
	return s.edit(id, func(a *asset) (effect, error) {
		f, err := s.lib.findFolder(to)
		if err != nil {
			return effect{}, err
		}
		a.folder = f
		return seen(), nil
	})
}

// Archive sets or clears is_archived.
func (s *Simulator) Archive(id string, archived bool) error {
	return s.edit(id, func(a *asset) (effect, error) {
		a.archived = archived
		return s.behavior.quietEffect(), nil
	})
}

// NewVersion gives a file new bytes, the next version_number and another
// version_id. size is for videos and raw files; 0 keeps the size.
func (s *Simulator) NewVersion(id string, size int64) error {
	return s.edit(id, func(a *asset) (effect, error) {
		if !a.kind.isFile() {
			return effect{}, fmt.Errorf("%s has no file: %w", a.kind.about().name, ErrInvalid)
		}
		d := s.lib.ownDetail(a)
		a.version++
		d.drawn = a.title
		if size > 0 && a.kind != kindImage {
			d.size = size
		}
		return seen(), nil
	})
}

// DeleteAsset puts an asset into the trash: it vanishes from every answer. It
// sends asset_removed.
func (s *Simulator) DeleteAsset(id string) error { return s.BulkDelete([]string{id}) }

// BulkDelete deletes many assets in one step. Ids that do not live are an error
// after the others are gone.
func (s *Simulator) BulkDelete(ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, id := range ids {
		a, ok := s.lib.live(id)
		if !ok {
			errs = append(errs, fmt.Errorf("delete asset %s: %w", id, ErrNotFound))
			continue
		}
		s.lib.trash(a)
		s.hooks.publish(s.removedEvent(a))
	}
	return errors.Join(errs...)
}

// RestoreAsset takes an asset out of the trash, as it was; modified_at becomes
// now. It sends asset_added unless Behavior.SilentRestore.
func (s *Simulator) RestoreAsset(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.lib.assets[id]
	if !ok || !a.trashed {
		return fmt.Errorf("restore asset %s: %w", id, ErrNotFound)
	}
	a.trashed = false
	a.modified = max(s.now(), a.created)
	s.lib.put(a)
	if !s.behavior.SilentRestore {
		s.hooks.publish(s.addedEvent(a))
	}
	return nil
}
