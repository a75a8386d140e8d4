package cmpsim

import (
	"iter"
	"slices"
	"sort"
)

// chunkSize keeps insertions cheap and the list of chunks short: a million rows
// are some thousand chunks.
const chunkSize = 1024

// index keeps assets in order with cheap insertion, removal and ranks. The order
// must be total; an asset leaves the index before a key of it changes.
type index struct {
	before func(a, b *asset) bool
	chunks [][]*asset
	n      int
}

func newIndex(before func(a, b *asset) bool, sorted []*asset) *index {
	x := &index{before: before, n: len(sorted)}
	for part := range slices.Chunk(sorted, chunkSize) {
		x.chunks = append(x.chunks, slices.Clone(part))
	}
	return x
}

// locate returns the chunk a belongs to and its place there.
func (x *index) locate(a *asset) (chunk, place int) {
	chunk = sort.Search(len(x.chunks), func(i int) bool {
		c := x.chunks[i]
		return !x.before(c[len(c)-1], a)
	})
	if chunk == len(x.chunks) {
		return chunk, 0
	}
	c := x.chunks[chunk]
	return chunk, sort.Search(len(c), func(i int) bool { return !x.before(c[i], a) })
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

// rank counts the leading assets for which pred holds; pred must not become
// true again after it was false.
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

// span yields the assets with ranks from to to-1.
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

func newestModified(a, b *asset) bool {
	if a.modified != b.modified {
		return a.modified > b.modified
	}
	if a.tie != b.tie {
		return a.tie < b.tie
	}
	return a.ordinal < b.ordinal
}

func newestCreated(a, b *asset) bool {
	if a.created != b.created {
		return a.created > b.created
	}
	return a.ordinal < b.ordinal
}

// orderFor returns slices' comparison of a less function.
func orderFor(before func(a, b *asset) bool) func(a, b *asset) int {
	return func(a, b *asset) int {
		switch {
		case before(a, b):
			return -1
		case before(b, a):
			return 1
		default:
			return 0
		}
	}
}
