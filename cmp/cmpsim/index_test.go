package cmpsim

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The index must equal a sorted list after any insertions and removals.
func TestIndexIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5000).Draw(t, "start")
		var model []*asset
		for i := range n {
			model = append(model, &asset{ordinal: uint32(i), modified: int64(i / 7), tie: uint32(i*7919) % 1000})
		}
		slices.SortFunc(model, newestFirst)
		x := newIndex(model)
		next := uint32(n)
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 600).Draw(t, "many") {
					a := &asset{ordinal: next, modified: int64(rapid.IntRange(0, 900).Draw(t, "at")), tie: next % 13}
					next++
					x.insert(a)
					at, _ := slices.BinarySearchFunc(model, a, newestFirst)
					model = slices.Insert(model, at, a)
				}
			},
			"remove": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				x.remove(model[i])
				model = slices.Delete(model, i, i+1)
			},
			"": func(t *rapid.T) {
				if x.n != len(model) {
					t.Fatalf("%d entries, want %d", x.n, len(model))
				}
				from := rapid.IntRange(0, len(model)).Draw(t, "from")
				to := min(from+200, len(model))
				if got := slices.Collect(x.span(from, to)); !slices.Equal(got, model[from:to]) {
					t.Fatalf("ranks %d to %d differ", from, to)
				}
				cut := int64(rapid.IntRange(-1, 901).Draw(t, "cut"))
				newer := func(a *asset) bool { return a.modified > cut }
				want := 0
				for want < len(model) && newer(model[want]) {
					want++
				}
				if got := x.rank(newer); got != want {
					t.Fatalf("%d newer than %d, want %d", got, cut, want)
				}
			},
		})
	})
}
