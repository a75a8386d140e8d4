package cmpsim

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// chunkSize keeps insertions cheap and the list of chunks short: a million assets fill about a
// thousand chunks.
const chunkSize = 1024

// index keeps assets in the order of GET /assets, with cheap insertion, removal and ranks. An asset
// must leave the index before one of its keys changes.
type index struct {
	chunks [][]*asset
	n      int
}

func newIndex(sorted []*asset) *index {
	x := &index{n: len(sorted)}
	for chunk := range slices.Chunk(sorted, chunkSize) {
		x.chunks = append(x.chunks, slices.Clone(chunk))
	}
	return x
}

// newestFirst is the order of GET /assets (facts.md 4.2). Assets with equal times are ordered
// independently of their ids.
func newestFirst(a, b *asset) int {
	return cmp.Or(cmp.Compare(b.modified, a.modified), cmp.Compare(a.tie, b.tie), cmp.Compare(a.ordinal, b.ordinal))
}

func before(a, b *asset) bool { return newestFirst(a, b) < 0 }

// locate returns the chunk that a belongs to and its position there.
func (x *index) locate(a *asset) (chunk, position int) {
	chunk = sort.Search(len(x.chunks), func(i int) bool {
		c := x.chunks[i]
		return !before(c[len(c)-1], a)
	})
	if chunk == len(x.chunks) {
		return chunk, 0
	}
	c := x.chunks[chunk]
	return chunk, sort.Search(len(c), func(i int) bool { return !before(c[i], a) })
}

func (x *index) insert(a *asset) {
	x.n++
	if len(x.chunks) == 0 {
		x.chunks = [][]*asset{{a}}
		return
	}
	i, at := x.locate(a)
	if i == len(x.chunks) {
		i--
		at = len(x.chunks[i])
	}
	x.chunks[i] = slices.Insert(x.chunks[i], at, a)
	if c := x.chunks[i]; len(c) > 2*chunkSize {
		x.chunks[i] = slices.Clone(c[:chunkSize])
		x.chunks = slices.Insert(x.chunks, i+1, slices.Clone(c[chunkSize:]))
	}
}

func (x *index) remove(a *asset) {
	i, at := x.locate(a)
	if i == len(x.chunks) || at == len(x.chunks[i]) || x.chunks[i][at] != a {
		return
	}
	x.n--
	x.chunks[i] = slices.Delete(x.chunks[i], at, at+1)
	if len(x.chunks[i]) == 0 {
		x.chunks = slices.Delete(x.chunks, i, i+1)
	}
}

// rank counts the leading assets for which pred holds. Once false, pred must stay false.
func (x *index) rank(pred func(*asset) bool) int {
	i := sort.Search(len(x.chunks), func(i int) bool {
		c := x.chunks[i]
		return !pred(c[len(c)-1])
	})
	n := 0
	for _, c := range x.chunks[:i] {
		n += len(c)
	}
	if i < len(x.chunks) {
		c := x.chunks[i]
		n += sort.Search(len(c), func(j int) bool { return !pred(c[j]) })
	}
	return n
}

func (x *index) all() iter.Seq[*asset] { return x.span(0, x.n) }

// span yields the assets with ranks from (inclusive) to to (exclusive).
func (x *index) span(from, to int) iter.Seq[*asset] {
	return func(yield func(*asset) bool) {
		skip, left := from, to-from
		for _, c := range x.chunks {
			if skip >= len(c) {
				skip -= len(c)
				continue
			}
			for _, a := range c[skip:] {
				if left <= 0 || !yield(a) {
					return
				}
				left--
			}
			skip = 0
		}
	}
}
