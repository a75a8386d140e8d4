package cmpsim

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

func assetParams() []string {
	return []string{
		"type", "label", "fields", "created_at__from", "created_at__to", "modified_at__from", "modified_at__to",
		"folder_id", "include_subfolder_assets", "search_text", "campaign_id",
	}
}

// bounds are inclusive Unix seconds.
type bounds struct{ from, to int64 }

func (b bounds) has(t int64) bool { return b.from <= t && t <= b.to }
func (b bounds) open() bool       { return b == everything() }

func everything() bounds { return bounds{-1 << 62, 1 << 62} }

// filter is what GET /assets was asked for.
type filter struct {
	created, modified bounds
	tests             []func(*asset) bool
}

func (f *filter) match(a *asset) bool {
	if !f.created.has(a.created) {
		return false
	}
	for _, t := range f.tests {
		if !t(a) {
			return false
		}
	}
	return true
}

// find returns how many living assets match f, and those of the window w. A filter by modified_at
// alone costs a binary search; any other one costs a pass over the assets modified in its time.
func (c *catalog) find(f *filter, w window) (total int, rows []*asset) {
	first := c.modified.rank(func(a *asset) bool { return a.modified > f.modified.to })
	last := max(first, c.modified.rank(func(a *asset) bool { return a.modified >= f.modified.from }))
	if len(f.tests) == 0 && f.created.open() {
		from, to := w.cut(last - first)
		return last - first, slices.Collect(c.modified.span(first+from, first+to))
	}
	for a := range c.modified.span(first, last) {
		if !f.match(a) {
			continue
		}
		if total >= w.offset && len(rows) < w.size {
			rows = append(rows, a)
		}
		total++
	}
	return total, rows
}

func (f *filter) test(t func(*asset) bool) { f.tests = append(f.tests, t) }

// parseFilter reads the query. The catalog resolves ids: what it does not know
// is ignored where the document says so.
func (c *catalog) parseFilter(q url.Values, exclusive bool) (*filter, error) {
	f := &filter{created: everything(), modified: everything()}
	if err := parseBounds(q, "created_at", exclusive, &f.created); err != nil {
		return nil, err
	}
	if err := parseBounds(q, "modified_at", exclusive, &f.modified); err != nil {
		return nil, err
	}
	for _, parse := range []func(url.Values, *filter) error{
		parseTypes, c.parseLabels, c.parseFields, c.parseFolder, c.parseSearch, parseCampaign,
	} {
		if err := parse(q, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func parseBounds(q url.Values, name string, exclusive bool, b *bounds) error {
	from, to := name+"__from", name+"__to"
	if q.Has(from) {
		t, err := parseTime(q, from)
		if err != nil {
			return err
		}
		b.from = t.Unix()
		if exclusive || t.Nanosecond() > 0 { // rows hold whole seconds
			b.from++
		}
	}
	if q.Has(to) {
		t, err := parseTime(q, to)
		if err != nil {
			return err
		}
		b.to = t.Unix()
		if exclusive && t.Nanosecond() == 0 {
			b.to--
		}
	}
	return nil
}

func parseTime(q url.Values, name string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, q.Get(name))
	if err != nil {
		return t, &paramError{name, "must be an ISO 8601 UTC date-time"}
	}
	return t, nil
}

func parseTypes(q url.Values, f *filter) error {
	if !q.Has("type") {
		return nil
	}
	var want [kindStructured + 1]bool
	for _, name := range q["type"] {
		k, ok := parseKind(name)
		if !ok {
			return &paramError{"type", "unknown type " + name}
		}
		want[k] = true
	}
	f.test(func(a *asset) bool { return want[a.kind] })
	return nil
}

// parseLabels: unknown labels are ignored, and when none is known nothing is
// filtered (documented). Values of one group are alternatives, groups must all
// match.
func (c *catalog) parseLabels(q url.Values, f *filter) error {
	for _, raw := range q["label"] {
		var l struct {
			Group  string   `json:"group"`
			Values []string `json:"values"`
		}
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			return &paramError{"label", "must be a JSON object of group and values"}
		}
		i := slices.IndexFunc(c.groups, func(g *labelGroup) bool { return g.id == l.Group })
		if i < 0 {
			continue
		}
		group := c.groups[i]
		want := knownNamed(group.values, l.Values)
		if len(want) == 0 {
			continue
		}
		f.test(func(a *asset) bool {
			return slices.ContainsFunc(a.labels, func(p pick) bool {
				return p.group == group && slices.ContainsFunc(p.values, func(v *named) bool { return slices.Contains(want, v) })
			})
		})
	}
	return nil
}

func knownNamed(known []*named, ids []string) []*named {
	var out []*named
	for _, v := range known {
		if slices.Contains(ids, v.id) {
			out = append(out, v)
		}
	}
	return out
}

// parseFields follows the same rule as parseLabels. The parameter is base64 of a
// JSON array.
func (c *catalog) parseFields(q url.Values, f *filter) error {
	for _, raw := range q["fields"] {
		b, err := base64.StdEncoding.DecodeString(raw)
		if err != nil {
			b, err = base64.URLEncoding.DecodeString(raw)
		}
		var asked []struct {
			ID     string   `json:"id"`
			Values []string `json:"values"`
		}
		if err != nil || json.Unmarshal(b, &asked) != nil {
			return &paramError{"fields", "must be base64 of a JSON array of id and values"}
		}
		for _, want := range asked {
			i := slices.IndexFunc(c.fields, func(d *fieldDef) bool { return d.id == want.ID })
			if i < 0 {
				continue
			}
			c.testField(f, c.fields[i], want.Values)
		}
	}
	return nil
}

func (c *catalog) testField(f *filter, def *fieldDef, values []string) {
	if choices := def.allChoices(); choices != nil && len(knownNamed(choices, values)) == 0 {
		return
	}
	f.test(func(a *asset) bool {
		got, _ := c.fieldOf(a, def)
		return slices.ContainsFunc(got, func(v string) bool { return slices.Contains(values, v) })
	})
}

// parseFolder: include_subfolder_assets=false without folder_id means only the
// assets in no folder (documented). An unknown folder holds nothing.
func (c *catalog) parseFolder(q url.Values, f *filter) error {
	deep := true
	if q.Has("include_subfolder_assets") {
		switch strings.ToLower(q.Get("include_subfolder_assets")) {
		case "true":
		case "false":
			deep = false
		default:
			return &paramError{"include_subfolder_assets", "must be true or false"}
		}
	}
	if !q.Has("folder_id") {
		if !deep {
			f.test(func(a *asset) bool { return a.folder == nil })
		}
		return nil
	}
	i := slices.IndexFunc(c.folders, func(d *folder) bool { return d.id == q.Get("folder_id") })
	if i < 0 {
		f.test(func(*asset) bool { return false })
		return nil
	}
	top := c.folders[i]
	f.test(func(a *asset) bool { return a.folder == top || (deep && a.folder.within(top)) })
	return nil
}

func (c *catalog) parseSearch(q url.Values, f *filter) error {
	if text := strings.ToLower(q.Get("search_text")); text != "" {
		f.test(func(a *asset) bool {
			return strings.Contains(strings.ToLower(a.title), text) ||
				strings.Contains(strings.ToLower(c.detailOf(a).description), text)
		})
	}
	return nil
}

func parseCampaign(q url.Values, f *filter) error {
	if id := q.Get("campaign_id"); id != "" {
		f.test(func(a *asset) bool { return a.campaign == id })
	}
	return nil
}
