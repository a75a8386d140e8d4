package cmp

import (
	"context"
	"encoding/json"
	"errors"
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
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("decode label group: %w", err)
		}
		if r.ID == "" {
			return errors.New("decode label group: no id")
		}
		out = append(out, library.LabelGroup{ID: string(r.ID), Name: string(r.Name), Values: names(r.Values), Raw: b})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
