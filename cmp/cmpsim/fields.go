package cmpsim

import (
	"net/http"
	"slices"
)

func (d *fieldDef) allChoices() []*named {
	if d.asksLabels != nil {
		return d.asksLabels.values
	}
	return d.choices
}

func (d *fieldDef) isMulti() bool {
	if d.asksLabels != nil {
		return d.asksLabels.multi
	}
	return d.multi
}

// fieldOf returns the values of def on a, and whether def is attached to it.
// Label fields are the asset's labels seen the other way.
func (c *catalog) fieldOf(a *asset, def *fieldDef) ([]string, bool) {
	if def.asksLabels == nil {
		d := c.detailOf(a)
		i := slices.IndexFunc(d.fields, func(v fieldValue) bool { return v.def == def })
		if i < 0 {
			return nil, false
		}
		return d.fields[i].values, true
	}
	for _, p := range a.labels {
		if p.group == def.asksLabels {
			var ids []string
			for _, v := range p.values {
				ids = append(ids, v.id)
			}
			return ids, true
		}
	}
	return nil, false
}

// extraKeys adds what a field of this type has beside its base: on an asset
// (inAsset) and in the organization's list the keys differ a little.
func (d *fieldDef) extraKeys(m map[string]any, inAsset bool) {
	switch d.kind {
	case "label", "dropdown":
		m["is_multi_select"] = d.isMulti()
		m["choices"] = d.choicesJSON(!inAsset && d.kind == "label")
	case "checkbox", "radio_button":
		m["choices"] = d.choicesJSON(false)
	case "percentage_number":
		m["decimal_places"] = d.decimals
		if !inAsset {
			m["has_thousand_separator"] = d.thousands
		}
	case "simple_number", "currency_number":
		m["decimal_places"], m["has_thousand_separator"] = d.decimals, d.thousands
		if d.kind == "currency_number" {
			m["currency_code"] = d.currency
		}
	}
}

func (d *fieldDef) choicesJSON(colored bool) []map[string]any {
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

func (d *fieldDef) onAsset(values []string) map[string]any {
	m := map[string]any{"id": d.id, "name": d.name, "type": d.kind, "values": append([]string{}, values...)}
	d.extraKeys(m, true)
	return m
}

func (s *Simulator) listAssetFields(c *call) {
	s.mu.RLock()
	a, ok := s.lib.live(c.id())
	var out []map[string]any
	if ok {
		out = s.fieldsOfAsset(a)
	}
	s.mu.RUnlock()
	if !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	page(s, c, out)
}

func (s *Simulator) fieldsOfAsset(a *asset) []map[string]any {
	var out []map[string]any
	for _, def := range s.lib.fields {
		values, attached := s.lib.fieldOf(a, def)
		if attached || s.behavior.AllFieldsAttached {
			out = append(out, def.onAsset(values))
		}
	}
	return out
}

func (s *Simulator) listFields(c *call) {
	var out []map[string]any
	s.mu.RLock()
	for _, d := range s.lib.fields {
		if c.q.Has("ids") && !slices.Contains(c.q["ids"], d.id) {
			continue
		}
		m := map[string]any{
			"id": d.id, "name": d.name, "type": d.kind, "helper_text": d.helper, "is_active": !d.inactive,
			"links": map[string]string{"source": s.urls.APIURL + "/fields?ids=" + d.id},
		}
		d.extraKeys(m, false)
		out = append(out, m)
	}
	s.mu.RUnlock()
	page(s, c, out)
}
