package cmpsim

import (
	"cmp"
	"slices"
)

func (d *fieldDef) allChoices() []*named {
	if d.labels != nil {
		return d.labels.values
	}
	return d.choices
}

func (d *fieldDef) isMulti() bool { return d.multi || (d.labels != nil && d.labels.multi) }

// fieldOf returns the values of def on a, and whether def is attached to a. A field of type label
// shows the asset's labels.
func (c *catalog) fieldOf(a *asset, def *fieldDef) (values []string, attached bool) {
	if def.labels != nil {
		i := slices.IndexFunc(a.labels, func(p pick) bool { return p.group == def.labels })
		if i < 0 {
			return nil, false
		}
		for _, v := range a.labels[i].values {
			values = append(values, v.id)
		}
		return values, true
	}
	fields := c.detailOf(a).fields
	i := slices.IndexFunc(fields, func(v fieldValue) bool { return v.def == def })
	if i < 0 {
		return nil, false
	}
	return fields[i].values, true
}

// resolve returns values as the API shows them: choices, given by name or id, become ids.
func (d *fieldDef) resolve(values []string) ([]string, error) {
	if d.choices == nil {
		return slices.Clone(values), nil
	}
	var out []string
	for _, v := range values {
		n, err := findNamed(d.choices, v)
		if err != nil {
			return nil, err
		}
		out = append(out, n.id)
	}
	return out, nil
}

// addTypeKeys adds the keys that only fields of this type have. They differ a little between an
// asset's field and the organization's (facts.md 4.6).
func (d *fieldDef) addTypeKeys(m map[string]any, onAsset bool) {
	switch d.kind {
	case "label", "dropdown":
		m["is_multi_select"] = d.isMulti()
		m["choices"] = d.choiceList(!onAsset && d.kind == "label")
	case "checkbox", "radio_button":
		m["choices"] = d.choiceList(false)
	case "percentage_number":
		m["decimal_places"] = d.decimals
		if !onAsset {
			m["has_thousand_separator"] = d.thousands
		}
	case "simple_number", "currency_number":
		m["decimal_places"], m["has_thousand_separator"] = d.decimals, d.thousands
		if d.kind == "currency_number" {
			m["currency_code"] = d.currency
		}
	}
}

func (d *fieldDef) choiceList(colored bool) []map[string]any {
	out := []map[string]any{}
	palette := colors()
	for i, v := range d.allChoices() {
		m := map[string]any{"id": v.id, "name": v.name}
		if colored {
			m["color"] = palette[i%len(palette)]
		}
		out = append(out, m)
	}
	return out
}

// listAssetFields lists the attached fields, or all: see Behavior.AllFieldsAttached.
func (h *apiHost) listAssetFields(c *call) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	a, err := h.lib.catalog.live(c.id())
	if err != nil {
		return reply{}, err
	}
	var all []map[string]any
	for _, d := range h.lib.catalog.fields {
		values, attached := h.lib.catalog.fieldOf(a, d)
		if !attached && !h.lib.behavior.AllFieldsAttached {
			continue
		}
		m := map[string]any{"id": d.id, "name": d.name, "type": d.kind, "values": append([]string{}, values...)}
		d.addTypeKeys(m, true)
		all = append(all, m)
	}
	return pageOf(c, h.lib.site.api, all)
}

// listFields lists the fields of the organization (facts.md 4.6).
func (h *apiHost) listFields(c *call) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	var all []map[string]any
	for _, d := range h.lib.catalog.fields {
		if c.query.Has("ids") && !slices.Contains(c.query["ids"], d.id) {
			continue
		}
		m := map[string]any{
			"id": d.id, "name": d.name, "type": d.kind, "helper_text": d.helper, "is_active": !d.inactive,
			"links": map[string]string{"source": h.lib.site.api + "/fields?ids=" + d.id},
		}
		d.addTypeKeys(m, false)
		all = append(all, m)
	}
	return pageOf(c, h.lib.site.api, all)
}

// listLabelGroups lists the groups by name (facts.md 4.7). No group belongs to a related organization.
func (h *apiHost) listLabelGroups(c *call) (reply, error) {
	const current, related = "current", "related"
	origin := cmp.Or(c.query.Get("source_org_type"), current)
	if origin != current && origin != related {
		return reply{}, &paramError{"source_org_type", "must be current or related"}
	}
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	var all []map[string]any
	if origin == current {
		for _, g := range slices.SortedFunc(slices.Values(h.lib.catalog.groups), func(a, b *labelGroup) int { return cmp.Compare(a.name, b.name) }) {
			all = append(all, map[string]any{
				"id": g.id, "name": g.name, "source_org_type": current, "values": namedList(g.values),
			})
		}
	}
	return pageOf(c, h.lib.site.api, all)
}
