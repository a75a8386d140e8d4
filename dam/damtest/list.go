package damtest

import (
	"fmt"
	"slices"

	"damsync/dam"
)

func listCases() []testCase {
	return []testCase{
		{"an empty target lists nothing", listsNothing},
		{"lists every object once", listsEverything},
		{"stops when the caller stops", stopsListing},
	}
}

func listsNothing(k *kit) { wantCount(k, 0) }

// listsEverything lists objects of ours, archived ones and foreign ones.
func listsEverything(k *kit) {
	want := map[string]dam.State{}
	for i, path := range []string{"a.png", "dir/b.png", "dir/deep/c.png", "dir/deep/d.png"} {
		id := fmt.Sprint("asset-", i)
		k.put(k.object(id, path, "body "+id, 1), dam.Remote{})
		want[id] = dam.Present
	}
	if slices.Contains(k.can.Retire, dam.RetireArchive) {
		k.retire(k.find("asset-1"), "asset-1", 2, dam.RetireArchive)
		want["asset-1"] = dam.Archived
	}
	if slices.Contains(k.can.Retire, dam.RetireDelete) {
		k.retire(k.find("asset-2"), "asset-2", 2, dam.RetireDelete)
		delete(want, "asset-2")
	}
	foreign := putForeign(k)
	for _, r := range k.list() {
		id := r.Mark.AssetID
		switch {
		case r.State == dam.Foreign:
			if r.Mark != (dam.OwnerMark{}) || !slices.Contains(foreign, r.Path) {
				k.Errorf("listed as foreign: %+v", r)
			}
			foreign = slices.DeleteFunc(foreign, func(p string) bool { return p == r.Path })
		case want[id] != r.State:
			k.Errorf("listed %+v, want %q", r, want[id])
		case !alike(r, k.find(id)):
			k.Errorf("listed %+v, find returned %+v", r, k.find(id))
		default:
			delete(want, id)
		}
	}
	if len(want) != 0 || len(foreign) != 0 {
		k.Errorf("not listed: %v and foreign %q", want, foreign)
	}
}

func putForeign(k *kit) []string {
	k.Helper()
	var paths []string
	if k.target.Backdoor != nil {
		k.write("foreign.txt", "theirs")
		k.write("dir/foreign.txt", "theirs")
		paths = append(paths, "foreign.txt", "dir/foreign.txt")
	}
	putAsStranger(k, "dir/stranger.png", "theirs")
	return append(paths, "dir/stranger.png")
}

func stopsListing(k *kit) {
	for i := range 5 {
		k.put(k.object(fmt.Sprint(i), fmt.Sprintf("%d.png", i), "x", 1), dam.Remote{})
	}
	n := 0
	for _, err := range k.a.List(k.ctx) {
		if err != nil {
			k.Fatalf("list: %v", err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		k.Errorf("listed %d of 5 after a stop at 2", n)
	}
	wantCount(k, 5)
}
