package cmpsim

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"
)

// librarySpan is how far back the generated library reaches.
const librarySpan = 3 * 365 * 24 * time.Hour

// generate makes the library that seed, epoch and count describe.
func generate(seed int64, epoch time.Time, count int) *catalog {
	c := &catalog{seed: seed, assets: make(map[string]*asset, count), nextOrd: uint32(count)}
	r := newRand(seed, "organization", 0)
	c.ownerOrg = objectID(r)
	for range 5 {
		c.owners = append(c.owners, objectID(r))
	}
	for range 3 {
		c.campaigns = append(c.campaigns, objectID(r))
	}
	c.makeFolders(epoch)
	c.makeLabels()
	c.makeFields()
	made := c.makeAssets(epoch, count)
	slices.SortFunc(made, newestFirst)
	c.modified = newIndex(made)
	return c
}

func (c *catalog) makeFolders(epoch time.Time) {
	r := newRand(c.seed, "folders", 0)
	byPath := map[string]*folder{"/": nil}
	for i, plan := range folderPlans() {
		created := epoch.Add(-librarySpan).Unix() - int64(100-i)*3600
		f := &folder{
			id: hexID(r), name: path.Base(plan.path), parent: byPath[path.Dir(plan.path)],
			created: created, modified: created + r.Int64N(86400*300), tie: r.Uint32() >> 1,
		}
		byPath[plan.path] = f
		c.folders = append(c.folders, f)
	}
}

func (c *catalog) makeLabels() {
	r := newRand(c.seed, "labels", 0)
	for _, plan := range groupPlans() {
		g := &labelGroup{named: named{hexID(r), plan.name}, multi: plan.multi}
		for _, v := range plan.values {
			g.values = append(g.values, &named{hexID(r), v})
		}
		c.groups = append(c.groups, g)
	}
}

func (c *catalog) makeFields() {
	r := newRand(c.seed, "fields", 0)
	field := func(name, kind string) *fieldDef {
		f := &fieldDef{named: named{objectID(r), name}, kind: kind, helper: "About " + name}
		c.fields = append(c.fields, f)
		return f
	}
	choices := func(names ...string) (out []*named) {
		for _, n := range names {
			out = append(out, &named{hexID(r), n})
		}
		return out
	}
	field("Headline", "text")
	field("Usage Notes", "text_area")
	field("Story", "rich_text")
	field("Shoot Date", "date")
	n := field("Priority", "simple_number")
	n.decimals, n.thousands = 0, true
	field("Discount", "percentage_number").decimals = 1
	m := field("License Cost", "currency_number")
	m.decimals, m.thousands, m.currency = 2, true, "EUR"
	field("Channels", "checkbox").choices = choices("Web", "Print", "Social", "TV")
	field("Rights", "radio_button").choices = choices("Owned", "Licensed", "Creative Commons")
	d := field("Markets", "dropdown")
	d.choices, d.multi = choices("Germany", "France", "Japan", "Brazil"), true
	field("Season", "dropdown").choices = choices("Spring", "Summer", "Autumn", "Winter")
	field("Cover", "image")
	field("Teaser", "video")
	field("Old Code", "text").inactive = true
	for _, g := range c.groups {
		c.fields = append(c.fields, &fieldDef{named: g.named, kind: "label", asksLabels: g, helper: "Labels: " + g.name})
	}
}

// makeAssets makes count assets, oldest first, 30 % of them in imports whose
// rows share one second; a quarter of the imports was never touched again, so
// that one modified_at can hold more than a page.
func (c *catalog) makeAssets(epoch time.Time, count int) []*asset {
	assets := make([]*asset, 0, count)
	slab := make([]asset, count)
	g := newAssetMaker(c, epoch)
	batchLeft, batches := 0, 0
	var batchTime int64
	for i := range count {
		r := newRand(c.seed, "asset", uint64(i))
		at := g.start + int64(float64(g.end-g.start)*float64(i)/float64(count))
		if batchLeft == 0 && r.IntN(300) == 0 {
			batchLeft, batchTime = 20+r.IntN(230), at
			batches++
		}
		untouched := false
		if batchLeft > 0 {
			batchLeft--
			at, untouched = batchTime, batches%4 == 1
		}
		a := &slab[i]
		g.fill(a, uint32(i), at, untouched, r)
		assets = append(assets, a)
		c.assets[a.id] = a
	}
	return assets
}

// assetMaker holds what all generated assets share.
type assetMaker struct {
	c          *catalog
	start, end int64
	folders    []*folder // one entry a weight
	picks      map[string][]pick
	formats    map[kind][]*fileType
	plans      []groupPlan
}

func newAssetMaker(c *catalog, epoch time.Time) *assetMaker {
	g := &assetMaker{
		c: c, start: epoch.Add(-librarySpan).Unix(), end: epoch.Unix(),
		picks: map[string][]pick{}, formats: fileTypes(), plans: groupPlans(),
	}
	for i, plan := range folderPlans() {
		for range plan.weight {
			g.folders = append(g.folders, c.folders[i])
		}
	}
	for range rootWeight {
		g.folders = append(g.folders, nil)
	}
	return g
}

func fileTypes() map[kind][]*fileType {
	return map[kind][]*fileType{
		kindImage:      {{"image/png", "png"}},
		kindVideo:      {{"video/mp4", "mp4"}, {"video/quicktime", "mov"}},
		kindRawFile:    {{"application/pdf", "pdf"}, {"application/zip", "zip"}, {"application/octet-stream", ""}},
		kindArticle:    {{"application/x-article", ""}},
		kindStructured: {{"application/x-structured-content", ""}},
	}
}

func (g *assetMaker) fill(a *asset, ordinal uint32, created int64, untouched bool, r *rand.Rand) {
	a.ordinal, a.version, a.tie = ordinal, 1, r.Uint32()
	a.id = hexID(r)
	a.kind = someKind(r)
	a.title = someTitle(r, ordinal)
	a.created, a.modified = created, created
	if !untouched && r.IntN(100) < 45 {
		a.modified = g.laterEdit(created, r)
		if r.IntN(4) == 0 {
			a.version = uint32(2 + r.IntN(3))
		}
	}
	formats := g.formats[a.kind]
	a.format = formats[r.IntN(len(formats))]
	a.archived, a.public = r.IntN(100) < 3, r.IntN(2) == 0
	a.folder = g.folders[r.IntN(len(g.folders))]
	a.labels = g.somePicks(r)
	if r.IntN(10) == 0 {
		a.campaign = g.c.campaigns[r.IntN(len(g.c.campaigns))]
	}
}

// laterEdit returns when an asset was last edited: at some moment of its own, or
// in one of twenty bulk edits, whose rows share a second.
func (g *assetMaker) laterEdit(created int64, r *rand.Rand) int64 {
	if r.IntN(5) == 0 {
		const bulkEdits = 20
		at := g.start + (g.end-g.start)*int64(1+r.IntN(bulkEdits))/(bulkEdits+1)
		return max(at, created)
	}
	return created + r.Int64N(max(g.end-created, 1))
}

func someKind(r *rand.Rand) kind {
	switch n := r.IntN(100); {
	case n < 80:
		return kindImage
	case n < 86:
		return kindVideo
	case n < 94:
		return kindRawFile
	case n < 98:
		return kindArticle
	default:
		return kindStructured
	}
}

func someTitle(r *rand.Rand, ordinal uint32) string {
	if ordinal%97 == 13 {
		all := awkwardTitles()
		return all[r.IntN(len(all))]
	}
	a, n := adjectives(), nouns()
	return fmt.Sprintf("%s %s %d", a[r.IntN(len(a))], n[r.IntN(len(n))], ordinal%10_000)
}

// somePicks chooses labels; equal choices share one slice.
func (g *assetMaker) somePicks(r *rand.Rand) []pick {
	var chosen [8]byte
	plans := g.plans
	for i := range plans {
		chosen[i] = byte(weighted(r, plans[i].weights))
	}
	key := string(chosen[:len(plans)])
	if p, ok := g.picks[key]; ok {
		return p
	}
	var out []pick
	for i, group := range g.c.groups {
		if n := int(chosen[i]); n < len(group.values) {
			values := []*named{group.values[n]}
			if group.multi && n == 0 {
				values = append(values, group.values[1])
			}
			out = append(out, pick{group, values})
		}
	}
	g.picks[key] = out
	return out
}

func weighted(r *rand.Rand, weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	n := r.IntN(total)
	for i, w := range weights {
		if n < w {
			return i
		}
		n -= w
	}
	return len(weights) - 1
}
