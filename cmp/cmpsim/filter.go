package cmpsim

import (
	"math"
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

func (b bounds) contain(t int64) bool { return b.from <= t && t <= b.to }

// filter is what a GET /assets asks for.
type filter struct {
	modified bounds
	tests    []func(*asset) bool // all must hold
}

func (f *filter) add(test func(*asset) bool) { f.tests = append(f.tests, test) }

func (f *filter) match(a *asset) bool {
	return !slices.ContainsFunc(f.tests, func(test func(*asset) bool) bool { return !test(a) })
}

// find returns how many living assets match f, and those of them in the window w, newest modified
// first. A filter by modified_at alone costs a binary search; any other filter costs a pass over the
// assets within its modified_at.
func (c *catalog) find(f *filter, w window) (total int, found []*asset) {
	first := c.modified.rank(func(a *asset) bool { return a.modified > f.modified.to })
	last := max(first, c.modified.rank(func(a *asset) bool { return a.modified >= f.modified.from }))
	if len(f.tests) == 0 {
		from, to := w.cut(last - first)
		return last - first, slices.Collect(c.modified.span(first+from, first+to))
	}
	for a := range c.modified.span(first, last) {
		if !f.match(a) {
			continue
		}
		if total >= w.offset && len(found) < w.size {
			found = append(found, a)
		}
		total++
	}
	return total, found
}

// parseFilter reads the query of GET /assets (facts.md 4.2).
func (c *catalog) parseFilter(query url.Values, exclusive bool) (*filter, error) {
	f := &filter{}
	var err error
	if f.modified, err = parseBounds(query, "modified_at", exclusive); err != nil {
		return nil, err
	}
	created, err := parseBounds(query, "created_at", exclusive)
	if err != nil {
		return nil, err
	}
	if query.Has("created_at__from") || query.Has("created_at__to") {
		f.add(func(a *asset) bool { return created.contain(a.created) })
	}
	for _, parse := range []func(url.Values, *filter) error{parseTypes, c.parseLabels, c.parseFields, c.parseFolder} {
		if err := parse(query, f); err != nil {
			return nil, err
		}
	}
	if text := strings.ToLower(query.Get("search_text")); text != "" {
		f.add(func(a *asset) bool {
			return strings.Contains(strings.ToLower(a.title), text) ||
				strings.Contains(strings.ToLower(c.detailOf(a).description), text)
		})
	}
	if id := query.Get("campaign_id"); id != "" {
		f.add(func(a *asset) bool { return a.campaign == id })
	}
	return f, nil
}

// parseBounds reads name__from and name__to. Whether they include the given second is not documented:
// see Behavior.ExclusiveTimes. Assets have whole seconds.
func parseBounds(query url.Values, name string, exclusive bool) (bounds, error) {
	b := bounds{math.MinInt64, math.MaxInt64}
	if from := name + "__from"; query.Has(from) {
		t, err := parseTime(query, from)
		if err != nil {
			return b, err
		}
		b.from = t.Unix()
		if exclusive || t.Nanosecond() > 0 {
			b.from++
		}
	}
	if to := name + "__to"; query.Has(to) {
		t, err := parseTime(query, to)
		if err != nil {
			return b, err
		}
		b.to = t.Unix()
		if exclusive && t.Nanosecond() == 0 {
			b.to--
		}
	}
	return b, nil
}

func parseTime(query url.Values, name string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, query.Get(name))
	if err != nil {
		return t, &paramError{name, "must be an ISO 8601 UTC date-time"}
	}
	return t, nil
}

func parseTypes(query url.Values, f *filter) error {
	if !query.Has("type") {
		return nil
	}
	var kinds []kind
	for _, name := range query["type"] {
		k, ok := parseKind(name)
		if !ok {
			return &paramError{"type", "unknown type " + name}
		}
		kinds = append(kinds, k)
	}
	f.add(func(a *asset) bool { return slices.Contains(kinds, a.kind) })
	return nil
}

// parseFolder reads folder_id and include_subfolder_assets. false without folder_id means the assets
// in no folder (facts.md 4.2). An unknown folder is empty.
func (c *catalog) parseFolder(query url.Values, f *filter) error {
	const subfolders = "include_subfolder_assets"
	deep := !query.Has(subfolders) || strings.EqualFold(query.Get(subfolders), "true")
	if !deep && !strings.EqualFold(query.Get(subfolders), "false") {
		return &paramError{subfolders, "must be true or false"}
	}
	if !query.Has("folder_id") {
		if !deep {
			f.add(func(a *asset) bool { return a.folder == nil })
		}
		return nil
	}
	top, err := c.folderByID(query.Get("folder_id"))
	f.add(func(a *asset) bool {
		return err == nil && (a.folder == top || (deep && a.folder.within(top)))
	})
	return nil
}
