package cmpsim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// assetMaker generates assets. It holds what they share.
type assetMaker struct {
	c          *catalog
	start, end int64     // of the library, Unix seconds
	folders    []*folder // each as often as its weight
	picks      map[string][]pick
	formats    map[kind][]*fileType
	groups     []groupPlan
}

func newAssetMaker(c *catalog, newest time.Time) *assetMaker {
	m := &assetMaker{
		c: c, start: newest.Add(-librarySpan).Unix(), end: newest.Unix(),
		picks: map[string][]pick{}, formats: fileTypes(), groups: groupPlans(),
	}
	for i, plan := range folderPlans() {
		for range plan.weight {
			m.folders = append(m.folders, c.folders[i])
		}
	}
	for range rootWeight {
		m.folders = append(m.folders, nil)
	}
	return m
}

// makeAssets makes count assets, oldest first. About 30 % come from imports; the assets of an import
// share one created_at. A quarter of the imports was never edited, so one modified_at can hold more
// than a page.
func (m *assetMaker) makeAssets(count int) []*asset {
	made := make([]*asset, 0, count)
	slab := make([]asset, count) // one allocation
	importLeft, imports := 0, 0
	var importTime int64
	for i := range count {
		r := newRand(m.c.seed, "asset", uint64(i))
		at := m.start + int64(float64(m.end-m.start)*float64(i)/float64(count))
		if importLeft == 0 && r.IntN(300) == 0 {
			importLeft, importTime = 20+r.IntN(230), at
			imports++
		}
		neverEdited := false
		if importLeft > 0 {
			importLeft--
			at, neverEdited = importTime, imports%4 == 1
		}
		a := &slab[i]
		a.ordinal, a.version, a.tie = uint32(i), 1, r.Uint32()
		a.created, a.modified = at, at
		m.fill(a, neverEdited, r)
		made = append(made, a)
	}
	return made
}

func (m *assetMaker) fill(a *asset, neverEdited bool, r *rand.Rand) {
	a.id = hexID(r)
	a.kind = someKind(r)
	a.title = someTitle(r, a.ordinal)
	if !neverEdited && r.IntN(100) < 45 {
		a.modified = m.laterEdit(a.created, r)
		if r.IntN(4) == 0 {
			a.version = uint32(2 + r.IntN(3))
		}
	}
	a.format = pickFrom(r, m.formats[a.kind])
	a.archived, a.public = r.IntN(100) < 3, r.IntN(2) == 0
	a.folder = pickFrom(r, m.folders)
	a.labels = m.somePicks(r)
	if r.IntN(10) == 0 {
		a.campaign = pickFrom(r, m.c.campaigns)
	}
}

// laterEdit returns when an asset was last edited: at any time, or in one of twenty bulk edits, each
// within one second.
func (m *assetMaker) laterEdit(created int64, r *rand.Rand) int64 {
	if r.IntN(5) == 0 {
		const bulkEdits = 20
		at := m.start + (m.end-m.start)*int64(1+r.IntN(bulkEdits))/(bulkEdits+1)
		return max(at, created)
	}
	return created + r.Int64N(max(m.end-created, 1))
}

// someKind returns images in 80 % of cases.
func someKind(r *rand.Rand) kind { return kind(pickWeighted(r, []int{80, 6, 8, 4, 2})) }

// someTitle returns about one awkward title in a hundred.
func someTitle(r *rand.Rand, ordinal uint32) string {
	if ordinal%97 == 13 {
		return pickFrom(r, awkwardTitles())
	}
	return fmt.Sprintf("%s %s %d", pickFrom(r, adjectives()), pickFrom(r, nouns()), ordinal%10_000)
}

// somePicks chooses labels. Equal choices share one slice, to save memory.
func (m *assetMaker) somePicks(r *rand.Rand) []pick {
	var chosen []byte
	for _, plan := range m.groups {
		chosen = append(chosen, byte(pickWeighted(r, plan.weights)))
	}
	if p, ok := m.picks[string(chosen)]; ok {
		return p
	}
	var out []pick
	for i, group := range m.c.groups {
		if n := int(chosen[i]); n < len(group.values) {
			values := []*named{group.values[n]}
			if group.multi && n == 0 {
				values = append(values, group.values[1])
			}
			out = append(out, pick{group, values})
		}
	}
	m.picks[string(chosen)] = out
	return out
}
