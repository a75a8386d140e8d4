package cmp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"damsync/internal/library"
)

type labelGroupRow struct {
	named
	Values []named `json:"values"`
}

// LabelGroups reads every label group with its values, by name.
func (c *Client) LabelGroups(ctx context.Context) ([]library.LabelGroup, error) {
	var out []library.LabelGroup
	err := c.list(ctx, "list label groups", c.endpoint("label-groups"), func(b json.RawMessage) error {
		var r labelGroupRow
		if err := decodeRow(b, "label group", &r, &r.ID); err != nil {
			return err
		}
		out = append(out, library.LabelGroup{ID: string(r.ID), Name: string(r.Name), Values: names(r.Values), Raw: b})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type fieldRow struct {
	named
	Type    text    `json:"type"`
	Active  *flag   `json:"is_active"`
	Values  []text  `json:"values"`
	Choices []named `json:"choices"`
}

// FieldDefinitions reads the custom fields that the organization defines.
func (c *Client) FieldDefinitions(ctx context.Context) ([]library.FieldDefinition, error) {
	var out []library.FieldDefinition
	err := c.list(ctx, "list field definitions", c.endpoint("fields"), func(b json.RawMessage) error {
		var r fieldRow
		if err := decodeRow(b, "field definition", &r, &r.ID); err != nil {
			return err
		}
		out = append(out, library.FieldDefinition{
			ID: string(r.ID), Name: string(r.Name), Type: string(r.Type),
			Active: r.Active == nil || bool(*r.Active), Choices: names(r.Choices), Raw: b,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Fields reads every custom field attached to an asset, at one request per 100 fields.
// The order is the API's.
func (c *Client) Fields(ctx context.Context, assetID string) (library.Fields, error) {
	op := fmt.Sprintf("read fields of asset %s", assetID)
	if err := checkID(op, assetID); err != nil {
		return library.Fields{}, err
	}
	var f library.Fields
	var raw [][]byte
	err := c.list(ctx, op, c.endpoint("assets", assetID, "fields"), func(b json.RawMessage) error {
		v, kept, err := decodeField(b)
		if err != nil {
			return err
		}
		f.Values, raw = append(f.Values, v), append(raw, kept)
		return nil
	})
	if err != nil {
		return library.Fields{}, err
	}
	f.Raw = append(append([]byte{'['}, bytes.Join(raw, []byte{','})...), ']')
	f.Hash = sha256.Sum256(f.Raw)
	return f, nil
}

func decodeField(b json.RawMessage) (v library.FieldValue, kept json.RawMessage, err error) {
	var r fieldRow
	if err := decodeRow(b, "field", &r, &r.ID); err != nil {
		return library.FieldValue{}, nil, err
	}
	if r.Type == library.TypeImage || r.Type == library.TypeVideo {
		// The value may be the URL of a file. The URL in a text field is content.
		if b, err = stable(b); err != nil {
			return library.FieldValue{}, nil, fmt.Errorf("decode field: %w", err)
		}
	}
	return r.value(), b, nil
}

// value converts r. Names has the name of each value that is a choice, and otherwise "",
// so that Values and Names stay aligned; it is empty for fields without choices.
func (r *fieldRow) value() library.FieldValue {
	v := library.FieldValue{ID: string(r.ID), Name: string(r.Name), Type: string(r.Type)}
	byID := make(map[text]text, len(r.Choices))
	for _, choice := range r.Choices {
		byID[choice.ID] = choice.Name
	}
	for _, value := range r.Values {
		v.Values = append(v.Values, string(value))
		if r.Choices != nil {
			v.Names = append(v.Names, string(byID[value]))
		}
	}
	return v
}
