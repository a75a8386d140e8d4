package cmpsim

import (
	"fmt"
	"slices"
	"time"
)

// Detail is an edit of the values that only an asset's detail shows (facts.md 4.4). nil leaves a
// value unchanged.
type Detail struct {
	Description *string    `json:"description,omitempty"`
	AltText     *string    `json:"alt_text,omitempty"`
	Attribution *string    `json:"attribution_text,omitempty"`
	Tags        *[]string  `json:"tags,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"` // the zero time clears it; whole seconds are kept
	Public      *bool      `json:"is_public,omitempty"`
	SEIndexing  *bool      `json:"allow_se_indexing,omitempty"`
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

// EditTitle renames an asset. Its file keeps the title it was drawn with. It moves modified_at and
// sends asset_modified (facts.md 7.4).
func (l *Library) EditTitle(id, title string) error {
	return l.edit(id, func(a *asset) (effect, error) {
		if title == "" {
			return effect{}, fmt.Errorf("empty title: %w", ErrInvalid)
		}
		l.catalog.ownDetail(a) // keeps the title that the file was drawn with
		a.title = title
		return documentedEffect(), nil
	})
}

// SetDetail changes values that only the detail shows. A description moves modified_at and sends
// asset_modified (facts.md 7.4); Behavior decides about the others.
func (l *Library) SetDetail(id string, d Detail) error {
	return l.edit(id, func(a *asset) (effect, error) {
		d.apply(a, l.catalog.ownDetail(a))
		if d.Description != nil {
			return documentedEffect(), nil
		}
		return l.behavior.detailEffect(), nil
	})
}

// SetLabels replaces all labels: group to values, each by name or id. It moves modified_at and sends
// asset_modified (facts.md 7.4).
func (l *Library) SetLabels(id string, labels map[string][]string) error {
	return l.edit(id, func(a *asset) (effect, error) {
		picks, err := l.catalog.picks(labels)
		if err != nil {
			return effect{}, err
		}
		a.labels = picks
		return documentedEffect(), nil
	})
}

// SetField sets a custom field, by name or id, to values; choices are named by name or id. Without
// values the field stays attached and empty. A field of type label is an error: it shows what
// SetLabels sets. Behavior decides whether modified_at moves and a webhook is sent.
func (l *Library) SetField(id, field string, values ...string) error {
	return l.edit(id, func(a *asset) (effect, error) {
		def, err := l.catalog.findField(field)
		if err != nil {
			return effect{}, err
		}
		if def.labels != nil {
			return effect{}, fmt.Errorf("field %q shows labels; set those: %w", field, ErrInvalid)
		}
		v, err := def.resolve(values)
		if err != nil {
			return effect{}, err
		}
		d := l.catalog.ownDetail(a)
		if i := slices.IndexFunc(d.fields, func(v fieldValue) bool { return v.def == def }); i >= 0 {
			d.fields[i].values = v
		} else {
			d.fields = append(d.fields, fieldValue{def, v})
		}
		return effect{!l.behavior.SilentFields, l.behavior.EventsOnDetails}, nil
	})
}

// MoveAsset moves an asset to a folder, by path or id; "/" is the root. It moves modified_at and
// sends asset_modified (facts.md 7.4).
func (l *Library) MoveAsset(id, to string) error {
	return l.edit(id, func(a *asset) (effect, error) {
		f, err := l.catalog.findFolder(to)
		if err != nil {
			return effect{}, err
		}
		a.folder = f
		return documentedEffect(), nil
	})
}

// Archive sets or clears is_archived. Behavior decides whether modified_at moves and a webhook is
// sent.
func (l *Library) Archive(id string, archived bool) error {
	return l.edit(id, func(a *asset) (effect, error) {
		a.archived = archived
		return l.behavior.detailEffect(), nil
	})
}

// NewVersion gives a file new bytes, the next version_number and another version_id. size, in bytes,
// is for videos and raw files; 0 keeps the size. It moves modified_at and sends asset_modified
// (facts.md 7.4).
func (l *Library) NewVersion(id string, size int64) error {
	return l.edit(id, func(a *asset) (effect, error) {
		if !a.kind.isFile() {
			return effect{}, fmt.Errorf("type %s has no file: %w", a.kind.info().name, ErrInvalid)
		}
		d := l.catalog.ownDetail(a)
		a.version++
		d.drawnTitle = a.title
		if size > 0 && a.kind != kindImage {
			d.size = size
		}
		return documentedEffect(), nil
	})
}
