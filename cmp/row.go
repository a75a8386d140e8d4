package cmp

import (
	"encoding/json"
	"errors"

	"damsync/internal/library"
)

// row holds the fields that a list row and a detail body have in common.
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

// check returns an error when r lacks a field that every asset must have.
func (r *row) check() error {
	switch {
	case r.ID == "":
		return errors.New("no id")
	case r.CreatedAt.IsZero() || r.ModifiedAt.IsZero():
		return errors.New("no created_at or modified_at")
	}
	return nil
}

// asset converts r; raw is the row without its volatile parts.
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
