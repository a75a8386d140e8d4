package cmpsim

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
)

// parseLabels reads the label filters. The values of one group are alternatives; all groups must
// match. Unknown groups and values are ignored, so a filter without any known one filters nothing
// (facts.md 4.2).
func (c *catalog) parseLabels(query url.Values, f *filter) error {
	for _, text := range query["label"] {
		var l labelPatch
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return &paramError{"label", "must be a JSON object of group and values"}
		}
		i := slices.IndexFunc(c.groups, func(g *labelGroup) bool { return g.id == l.Group })
		if i < 0 {
			continue
		}
		group := c.groups[i]
		if !anyKnown(group.values, l.Values) {
			continue
		}
		f.add(func(a *asset) bool {
			return slices.ContainsFunc(a.labels, func(p pick) bool { return p.group == group && anyKnown(p.values, l.Values) })
		})
	}
	return nil
}

// anyKnown reports whether one of ids is the id of one of values.
func anyKnown(values []*named, ids []string) bool {
	return slices.ContainsFunc(values, func(v *named) bool { return slices.Contains(ids, v.id) })
}

// parseFields reads the filters by custom field, base64 of a JSON array, by the rules of parseLabels.
func (c *catalog) parseFields(query url.Values, f *filter) error {
	for _, text := range query["fields"] {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			b, err = base64.URLEncoding.DecodeString(text)
		}
		var wanted []struct {
			ID     string   `json:"id"`
			Values []string `json:"values"`
		}
		if err != nil || json.Unmarshal(b, &wanted) != nil {
			return &paramError{"fields", "must be base64 of a JSON array of id and values"}
		}
		for _, want := range wanted {
			i := slices.IndexFunc(c.fields, func(d *fieldDef) bool { return d.id == want.ID })
			if i < 0 {
				continue
			}
			def := c.fields[i]
			if choices := def.allChoices(); choices != nil && !anyKnown(choices, want.Values) {
				continue
			}
			f.add(func(a *asset) bool {
				values, _ := c.fieldOf(a, def)
				return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(want.Values, v) })
			})
		}
	}
	return nil
}
