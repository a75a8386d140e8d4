package cmp

import (
	"encoding/json"
	"errors"

	"damsync/internal/library"
)

// row is what a list row and a detail body share.
type row struct {
	ID            text    `json:"id"`
	Type          text    `json:"type"`
	Title         text    `json:"title"`
	MIMEType      text    `json:"mime_type"`
	FileExtension text    `json:"file_extension"`
	CreatedAt     moment  `json:"created_at"`
	ModifiedAt    moment  `json:"modified_at"`
	FolderID      text    `json:"folder_id"`
	FileLocation  text    `json:"file_location"`
	IsArchived    flag    `json:"is_archived"`
	Labels        []label `json:"labels"`
	Owner         text    `json:"owner_organization_id"`
	Content       struct {
		Type  text `json:"type"`
		Value text `json:"value"`
	} `json:"content"`
	Links struct {
		Self text `json:"self"`
	} `json:"links"`
}

type label struct {
	Group  named   `json:"group"`
	Values []named `json:"values"`
}

type named struct {
	ID   text `json:"id"`
	Name text `json:"name"`
}

func (n named) library() library.Named {
	return library.Named{ID: string(n.ID), Name: string(n.Name)}
}

func names(in []named) []library.Named {
	if len(in) == 0 {
		return nil
	}
	out := make([]library.Named, len(in))
	for i, n := range in {
		out[i] = n.library()
	}
	return out
}

func labels(in []label) []library.Label {
	if len(in) == 0 {
		return nil
	}
	out := make([]library.Label, len(in))
	for i, l := range in {
		out[i] = library.Label{Group: l.Group.library(), Values: names(l.Values)}
	}
	return out
}

// check says what a row must have to be acted on.
func (r *row) check() error {
	switch {
	case r.ID == "":
		return errors.New("no id")
	case r.CreatedAt.IsZero() || r.ModifiedAt.IsZero():
		return errors.New("no created_at or modified_at")
	}
	return nil
}

// asset builds the library's view of r; raw is the row with its volatile parts
// removed.
func (r *row) asset(raw json.RawMessage) library.Asset {
	return library.Asset{
		ID:                  string(r.ID),
		Type:                string(r.Type),
		Title:               string(r.Title),
		MIMEType:            string(r.MIMEType),
		FileExtension:       string(r.FileExtension),
		CreatedAt:           r.CreatedAt.Time,
		ModifiedAt:          r.ModifiedAt.Time,
		FolderID:            string(r.FolderID),
		FileLocation:        string(r.FileLocation),
		Archived:            bool(r.IsArchived),
		Labels:              labels(r.Labels),
		OwnerOrganizationID: string(r.Owner),
		Self:                string(r.Links.Self),
		Raw:                 raw,
	}
}

// rows decodes the data array of an asset page row by row, so that one malformed
// row does not lose the others.
type rows struct {
	items []Item
	bad   []RowError
}

func (r *rows) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return errors.New("data is not an array")
	}
	for i, one := range elements(b) {
		item, err := decodeItem(one)
		if err != nil {
			r.bad = append(r.bad, RowError{Index: i, ID: item.ID, Reason: err.Error()})
			continue
		}
		r.items = append(r.items, item)
	}
	return nil
}

// decodeItem reads one list row. With an error the item holds the id at most.
func decodeItem(raw []byte) (Item, error) {
	var r row
	err := json.Unmarshal(raw, &r)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Item{Asset: library.Asset{ID: textOf(members(raw)["id"])}}, err
	}
	item := Item{}
	volatile := []string{"thumbnail_url"}
	if r.Content.Type == "url" {
		item.URL = library.NewDownloadURL(string(r.Content.Value))
		volatile = append(volatile, "content.value")
	}
	item.Asset = r.asset(stable(raw, volatile...))
	return item, nil
}
