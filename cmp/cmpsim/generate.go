package cmpsim

import (
	"path"
	"slices"
	"time"
)

// librarySpan is the age of the oldest generated asset.
const librarySpan = 3 * 365 * 24 * time.Hour

// generate makes the library that seed and count describe; newest is its newest modified_at.
func generate(seed int64, newest time.Time, count int) *catalog {
	c := &catalog{seed: seed, assets: make(map[string]*asset, count), nextOrdinal: uint32(count)}
	r := newRand(seed, "organization", 0)
	c.ownerOrg = objectID(r)
	for range 5 {
		c.owners = append(c.owners, objectID(r))
	}
	for range 3 {
		c.campaigns = append(c.campaigns, objectID(r))
	}
	c.makeFolders(newest)
	c.makeLabels()
	c.makeFields()
	made := newAssetMaker(c, newest).makeAssets(count)
	for _, a := range made {
		c.assets[a.id] = a
	}
	slices.SortFunc(made, newestFirst)
	c.modified = newIndex(made)
	return c
}

func (c *catalog) makeFolders(newest time.Time) {
	r := newRand(c.seed, "folders", 0)
	byPath := map[string]*folder{"/": nil}
	for i, plan := range folderPlans() {
		created := newest.Add(-librarySpan).Unix() - int64(100-i)*3600
		f := &folder{
			id: hexID(r), name: path.Base(plan.path), parent: byPath[path.Dir(plan.path)],
			created: created, modified: created + r.Int64N(86400*300), tie: r.Uint32(),
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

// makeFields makes at least one field of each documented type (facts.md 4.6), and one that is not
// active.
func (c *catalog) makeFields() {
	r := newRand(c.seed, "fields", 0)
	field := func(name, fieldType string, choices ...string) *fieldDef {
		f := &fieldDef{named: named{objectID(r), name}, kind: fieldType, helper: "About " + name}
		for _, choice := range choices {
			f.choices = append(f.choices, &named{hexID(r), choice})
		}
		c.fields = append(c.fields, f)
		return f
	}
	field("Headline", "text")
	field("Usage Notes", "text_area")
	field("Story", "rich_text")
	field("Shoot Date", "date")
	field("Priority", "simple_number").thousands = true
	field("Discount", "percentage_number").decimals = 1
	cost := field("License Cost", "currency_number")
	cost.decimals, cost.thousands, cost.currency = 2, true, "EUR"
	field("Channels", "checkbox", "Web", "Print", "Social", "TV")
	field("Rights", "radio_button", "Owned", "Licensed", "Creative Commons")
	field("Markets", "dropdown", "Germany", "France", "Japan", "Brazil").multi = true
	field("Season", "dropdown", "Spring", "Summer", "Autumn", "Winter")
	field("Cover", "image")
	field("Teaser", "video")
	field("Old Code", "text").inactive = true
	for _, g := range c.groups {
		c.fields = append(c.fields, &fieldDef{named: g.named, kind: "label", labels: g, helper: "Labels: " + g.name})
	}
}
