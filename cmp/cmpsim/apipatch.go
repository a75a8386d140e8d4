package cmpsim

import (
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"
)

// assetPatch is the body of a PATCH of an asset (facts.md 4.5). Only the keys that it has change.
type assetPatch struct {
	Detail
	Title      *string             `json:"title"`
	ExpiresAt  optional[time.Time] `json:"expires_at"` // null clears it; hides Detail's
	FolderID   optional[string]    `json:"folder_id"`  // null is the root
	IsArchived *bool               `json:"is_archived"`
	Labels     *[]labelPatch       `json:"labels"`
}

type labelPatch struct {
	Group  string   `json:"group"`
	Values []string `json:"values"`
}

// optional distinguishes null from a missing key.
type optional[T any] struct {
	given bool
	value *T
}

// UnmarshalJSON is for json.Unmarshaler.
func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.given = true
	return json.Unmarshal(b, &o.value)
}

// orZero returns the zero value for null.
func (o optional[T]) orZero() (v T) {
	set(o.value, &v)
	return v
}

func readAssetPatch(r *http.Request, k kind) (*assetPatch, error) {
	var p assetPatch
	if err := decodeStrict(r, maxBody, &p); err != nil {
		return nil, &paramError{"body", err.Error()}
	}
	if p.Title != nil && *p.Title == "" {
		return nil, &paramError{"title", "must not be empty"}
	}
	if p.AltText != nil && k == kindRawFile {
		return nil, &paramError{"alt_text", "raw files have no alt text"}
	}
	if p.Tags != nil {
		if err := checkTags(*p.Tags); err != nil {
			return nil, err
		}
	}
	if p.ExpiresAt.given {
		at := p.ExpiresAt.orZero()
		p.Detail.ExpiresAt = &at
	}
	return &p, nil
}

func checkTags(tags []string) error {
	if len(tags) > 100 {
		return &paramError{"tags", "at most 100"}
	}
	for _, t := range tags {
		if n := utf8.RuneCountInString(t); n < 1 || n > 100 {
			return &paramError{"tags", "each of 1 to 100 characters"}
		}
	}
	return nil
}

// patchAsset answers the changed detail.
func (h *apiHost) patchAsset(c *call, k kind) (reply, error) {
	p, err := readAssetPatch(c.r, k)
	if err != nil {
		return reply{}, err
	}
	err = h.lib.edit(c.id(), func(a *asset) (effect, error) {
		if a.kind != k {
			return effect{}, errNoResource
		}
		return p.applyTo(h.lib, a)
	})
	if err != nil {
		return reply{}, err
	}
	return h.getAsset(c, k)
}

// applyTo changes a, or nothing when the patch names something that the library does not have. The
// caller holds the lock.
func (p *assetPatch) applyTo(l *Library, a *asset) (effect, error) {
	f, picks := a.folder, a.labels
	var err error
	if p.FolderID.given {
		if f, err = l.catalog.findFolder(p.FolderID.orZero()); err != nil {
			return effect{}, err
		}
	}
	if p.Labels != nil {
		labels := map[string][]string{}
		for _, p := range *p.Labels {
			labels[p.Group] = p.Values
		}
		if picks, err = l.catalog.picks(labels); err != nil {
			return effect{}, err
		}
	}
	d := l.catalog.ownDetail(a) // before the title changes: keeps the title that the file was drawn with
	a.folder, a.labels = f, picks
	set(p.Title, &a.title)
	set(p.IsArchived, &a.archived)
	p.apply(a, d)
	if p.FolderID.given || p.Labels != nil || p.Title != nil || p.Description != nil {
		return documentedEffect(), nil
	}
	return l.behavior.detailEffect(), nil
}
