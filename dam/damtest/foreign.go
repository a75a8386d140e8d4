package damtest

import "damsync/dam"

func foreignCases() []testCase {
	return []testCase{
		{"in the place", foreignInPlace},
		{"in the place of a move", foreignInPlaceOfMove},
		{"comes during the upload", foreignComes},
		{"adopted when the same", adoptsSame},
		{"not adopted when another", adoptsNoOther},
		{"another installation's", anothersObject},
		{"of another installation is never adopted", adoptsNoOthers},
	}
}

// wantForeign looks for asset A.
func (k *kit) wantForeign(path, body string) {
	k.Helper()
	r, err := k.a.Find(k.ctx, k.key("A"), []string{path})
	if err != nil || r.State != dam.Foreign || r.Mark != (dam.Mark{}) {
		k.Errorf("find gives %+v, %v; want foreign without a mark", r, err)
	}
	k.wantBytes(path, body)
}

func foreignInPlace(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	k.write("dir/a.png", "theirs")
	k.wantForeign("dir/a.png", "theirs")
	for _, body := range []string{"ours!", "theirs"} {
		_, err := k.a.Put(k.ctx, k.object("A", "dir/a.png", body, 1), dam.Remote{})
		k.wantClass("put where something foreign is", err, dam.ClassForeign)
	}
	for _, mode := range k.can.Retire {
		k.retire(dam.Remote{Path: "dir/a.png", State: dam.Absent}, "A", 2, mode)
	}
	k.wantForeign("dir/a.png", "theirs")
	k.wantCount(1)
}

func foreignInPlaceOfMove(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths && k.can.ServerSideMove, "unique paths and moves")
	obj := k.object("A", "a.png", "ours", 1)
	r := k.put(obj, dam.Remote{})
	k.write("b.png", "theirs")
	_, err := k.a.Move(k.ctx, r, k.mark("A", 2), "b.png")
	k.wantClass("move to where something foreign is", err, dam.ClassForeign)
	_, err = k.a.Put(k.ctx, k.object("A", "b.png", "next", 2), r)
	k.wantClass("put to where something foreign is", err, dam.ClassForeign)
	k.wantThere(obj, "ours")
	k.wantBytes("b.png", "theirs")
	k.wantCount(2)
}

func foreignComes(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths && k.can.AtomicCreate, "unique paths and atomic creation")
	obj := k.object("A", "a.png", "ours", 1)
	obj.Open = interrupted("ours", func() { k.write("a.png", "theirs") })
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	k.wantClass("put while something foreign came", err, dam.ClassForeign)
	k.wantForeign("a.png", "theirs")
	k.wantCount(1)
}

func adoptsSame(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	k.write("dir/a.png", "the same")
	obj := k.object("A", "dir/a.png", "the same", 1)
	obj.Adopt = true
	k.wantPut(k.put(obj, dam.Remote{Path: "dir/a.png", State: dam.Foreign}), obj, "the same")
	k.wantCount(1)

	k.write("b.png", "moved here")
	next := k.object("A", "b.png", "moved here", 2) // and what was ours goes
	next.Adopt = true
	k.wantPut(k.put(next, k.find("A")), next, "moved here")
	k.wantCount(1)
}

func adoptsNoOther(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	for _, theirs := range []string{"the like", "", "the same and more"} {
		k.write("a.png", theirs)
		obj := k.object("A", "a.png", "the same", 1)
		obj.Adopt = true
		_, err := k.a.Put(k.ctx, obj, dam.Remote{})
		k.wantClass("adopt other bytes", err, dam.ClassForeign)
		k.wantForeign("a.png", theirs)
	}
	k.wantCount(1)
}

// strangers puts an object of another installation.
func (k *kit) strangers(path, body string) (dam.Adapter, dam.Object) {
	k.Helper()
	other := k.open(k.stranger)
	obj := k.objectOf(dam.Key{Instance: k.stranger, AssetID: "A"}, path, body, 7)
	if _, err := other.Put(k.ctx, obj, dam.Remote{}); err != nil {
		k.Fatalf("put by another installation: %v", err)
	}
	return other, obj
}

func (k *kit) wantStrangers(other dam.Adapter, obj dam.Object, body string) {
	k.Helper()
	r, err := other.Find(k.ctx, obj.Mark.Key(), []string{obj.Path})
	if err != nil {
		k.Errorf("find by another installation: %v", err)
	}
	k.wantRemote("another installation finds", r, obj, body)
	k.wantBytes(obj.Path, body)
}

func anothersObject(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	other, theirs := k.strangers("dir/a.png", "theirs")
	k.wantForeign("dir/a.png", "theirs")
	_, err := k.a.Put(k.ctx, k.object("A", "dir/a.png", "ours", 9), dam.Remote{})
	k.wantClass("put where another installation's is", err, dam.ClassForeign)
	for _, mode := range k.can.Retire {
		k.retire(dam.Remote{Path: "dir/a.png", State: dam.Absent}, "A", 9, mode)
	}
	for _, r := range k.list() {
		if r.State != dam.Foreign {
			k.Errorf("list takes another installation's for ours: %+v", r)
		}
	}
	k.wantStrangers(other, theirs, "theirs")

	ours := k.object("A", "dir/b.png", "ours", 10)
	k.wantPut(k.put(ours, dam.Remote{}), ours, "ours")
	k.wantStrangers(other, theirs, "theirs")
	k.wantCount(2)
}

func adoptsNoOthers(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	other, theirs := k.strangers("a.png", "the same")
	obj := k.object("A", "a.png", "the same", 9)
	obj.Adopt = true
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	k.wantClass("adopt what another installation has marked", err, dam.ClassForeign)
	k.wantStrangers(other, theirs, "the same")
	k.wantCount(1)
}
