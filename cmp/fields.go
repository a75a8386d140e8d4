package cmp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"damsync/internal/library"
)

type fieldRow struct {
	ID      text    `json:"id"`
	Name    text    `json:"name"`
	Type    text    `json:"type"`
	Active  *flag   `json:"is_active"`
	Values  []text  `json:"values"`
	Choices []named `json:"choices"`
}

// Fields reads every custom field attached to an asset, one request per 100 fields.
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

func decodeField(b json.RawMessage) (library.FieldValue, []byte, error) {
	var r fieldRow
	if err := json.Unmarshal(b, &r); err != nil {
		return library.FieldValue{}, nil, fmt.Errorf("decode field: %w", err)
	}
	if r.ID == "" {
		return library.FieldValue{}, nil, errors.New("decode field: no id")
	}
	v := library.FieldValue{ID: string(r.ID), Name: string(r.Name), Type: string(r.Type)}
	byID := make(map[text]text, len(r.Choices))
	for _, choice := range r.Choices {
		byID[choice.ID] = choice.Name
	}
	for _, value := range r.Values {
		v.Values = append(v.Values, string(value))
		if name, ok := byID[value]; ok {
			v.Names = append(v.Names, string(name))
		} else if r.Choices != nil {
			v.Names = append(v.Names, "") // keeps the places of Values and Names together
		}
	}
	if r.Type == library.TypeImage || r.Type == library.TypeVideo {
		b = stable(b) // such a value may be the URL of a file; a text field's URL is content
	}
	return v, b, nil
}

// FieldDefinitions reads the custom fields that the organization defines.
func (c *Client) FieldDefinitions(ctx context.Context) ([]library.FieldDefinition, error) {
	var out []library.FieldDefinition
	err := c.list(ctx, "list field definitions", c.endpoint("fields"), func(b json.RawMessage) error {
		var r fieldRow
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("decode field definition: %w", err)
		}
		if r.ID == "" {
			return errors.New("decode field definition: no id")
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
