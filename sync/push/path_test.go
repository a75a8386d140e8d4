package push

import (
	"maps"
	"slices"
	"testing"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

func TestForeignObjectIsNotTouched(t *testing.T) {
	for name, test := range map[string]struct {
		there string
		adopt bool
		taken bool
	}{
		"other bytes":                   {"theirs", false, false},
		"same bytes without adoption":   {roomtest.Bytes("a"), false, false},
		"other bytes with adoption":     {"theirs", true, false},
		"the asset's bytes are adopted": {roomtest.Bytes("a"), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.pusher.Target.Adopt = test.adopt
			if err := r.target.Write(t.Context(), "a.png", []byte(test.there)); err != nil {
				t.Fatal(err)
			}
			r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a"), "b": roomtest.At("b.png", "v1", "b")})
			r.inSync("b")
			if got := r.body("a.png"); got != test.there {
				t.Errorf("it holds %q", got)
			}
			if test.taken {
				r.inSync("a")
				return
			}
			r.failed("a", dam.ClassForeign)
			if p := r.row("a"); p.State != "conflict" {
				t.Errorf("it is shown as %s", p.State)
			}
			if err := r.target.Remove(t.Context(), "a.png"); err != nil {
				t.Fatal(err)
			}
			r.Hurry()
			r.push()
			r.inSync("a") // the place became free
		})
	}
}

// Of two assets that need one path the second is a visible conflict, and gets the path as soon as it is free.
func TestSecondAssetAtAPathWaits(t *testing.T) {
	for name, free := range map[string]func(*room){
		"until the first leaves":  func(r *room) { r.Remove(false, "a") },
		"until the first moves":   func(r *room) { r.Want(map[string]state.Desired{"a": roomtest.At("elsewhere", "v1", "a")}) },
		"until it goes elsewhere": func(r *room) { r.Want(map[string]state.Desired{"b": roomtest.At("elsewhere", "v1", "b")}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.want(map[string]state.Desired{"a": roomtest.At("same", "v1", "a")})
			r.want(map[string]state.Desired{"b": roomtest.At("same", "v1", "b")})
			r.inSync("a")
			r.failed("b", dam.ClassConflict)
			if got := r.body("same"); got != roomtest.Bytes("a") {
				t.Errorf("the path holds %q", got)
			}
			free(r)
			r.push() // without Hurry: the free path makes the waiting placement due
			if name == "until the first leaves" {
				r.inSync("b")
				r.places(map[string]string{"b": "same"})
				return
			}
			r.inSync("a", "b")
		})
	}
}

// Assets that take each other's path come to rest: one of them steps aside.
func TestAssetsSwapPaths(t *testing.T) {
	paths := []string{"1", "2", "3"}
	want := func(ids string) map[string]state.Desired {
		all := map[string]state.Desired{}
		for i, id := range ids {
			all[string(id)] = roomtest.At(paths[i], "v1", string(id))
		}
		return all
	}
	for name, to := range map[string]string{"two of them": "bac", "all in a circle": "bca", "in the other direction": "cab"} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.want(want("abc"))
			r.meddler.wrote()
			r.Want(want(to))
			for range 10 {
				r.Hurry()
				r.push()
			}
			r.inSync("a", "b", "c")
			at := map[string]string{}
			for id, d := range want(to) {
				at[id] = d.Path
			}
			r.places(at)
			if wrote := r.meddler.wrote(); slices.Contains(wrote, dam.OpPut) {
				t.Errorf("a swap moves bytes: %v", wrote)
			}
		})
	}
}

// A crash while an asset is aside does not lose it: it is found there.
func TestAssetAsideIsFoundAfterACrash(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.want(map[string]state.Desired{"a": roomtest.At("1", "v1", "a"), "b": roomtest.At("2", "v1", "b")})
	parked := ""
	r.meddler.after = func(_ dam.Op, id string) error {
		if parked == "" {
			parked = id
			r.crash(id)
			return dam.ErrUnavailable
		}
		return nil
	}
	swapped := map[string]state.Desired{"a": roomtest.At("2", "v1", "a"), "b": roomtest.At("1", "v1", "b")}
	r.Want(swapped)
	for range 10 {
		r.push()
		r.Hurry()
	}
	if parked == "" {
		t.Fatal("no asset stepped aside")
	}
	r.inSync(slices.Collect(maps.Keys(swapped))...)
	r.places(map[string]string{"a": "2", "b": "1"})
}
