package damtest

import "damsync/dam"

func foreignCases() []testCase {
	return []testCase{
		{"is never overwritten", foreignInPlace},
		{"is never moved over", foreignInPlaceOfMove},
		{"is not overwritten when it appears during an upload", foreignComes},
		{"is adopted with the same bytes", adoptsSame},
		{"is not adopted with other bytes", adoptsNoOther},
		{"another installation's object is foreign", anothersObject},
		{"another installation's object is never adopted", adoptsNoOthers},
	}
}

// wantForeign looks for asset A at path.
func wantForeign(k *kit, path, body string) {
	k.Helper()
	r, err := k.a.Find(k.ctx, k.key("A"), []string{path})
	if err != nil || r.State != dam.Foreign || r.Mark != (dam.OwnerMark{}) {
		k.Errorf("find returned %+v, %v; want foreign without a mark", r, err)
	}
	wantBytes(k, path, body)
}

func foreignInPlace(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	k.write("dir/a.png", "theirs")
	wantForeign(k, "dir/a.png", "theirs")
	for _, body := range []string{"ours!", "theirs"} {
		_, err := k.a.Put(k.ctx, k.object("A", "dir/a.png", body, 1), dam.Remote{})
		wantClass(k, "put over a foreign object", err, dam.ClassForeign)
	}
	for _, mode := range k.can.Retire {
		k.retire(dam.Remote{Path: "dir/a.png", State: dam.Absent}, "A", 2, mode)
	}
	wantForeign(k, "dir/a.png", "theirs")
	wantCount(k, 1)
}

func foreignInPlaceOfMove(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths && k.can.ServerSideMove, "unique paths and moves")
	obj := k.object("A", "a.png", "ours", 1)
	r := k.put(obj, dam.Remote{})
	k.write("b.png", "theirs")
	_, err := k.a.Move(k.ctx, r, k.mark("A", 2), "b.png")
	wantClass(k, "move over a foreign object", err, dam.ClassForeign)
	_, err = k.a.Put(k.ctx, k.object("A", "b.png", "next", 2), r)
	wantClass(k, "put over a foreign object", err, dam.ClassForeign)
	wantThere(k, obj, "ours")
	wantBytes(k, "b.png", "theirs")
	wantCount(k, 2)
}

func foreignComes(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths && k.can.AtomicCreate, "unique paths and atomic creation")
	obj := k.object("A", "a.png", "ours", 1)
	obj.Open = interrupted("ours", func() { k.write("a.png", "theirs") })
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	wantClass(k, "put while a foreign object appeared", err, dam.ClassForeign)
	wantForeign(k, "a.png", "theirs")
	wantCount(k, 1)
}

func adoptsSame(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	k.write("dir/a.png", "the same")
	obj := k.object("A", "dir/a.png", "the same", 1)
	obj.Adopt = true
	wantPut(k, k.put(obj, dam.Remote{Path: "dir/a.png", State: dam.Foreign}), obj, "the same")
	wantCount(k, 1)

	k.write("b.png", "moved here")
	next := k.object("A", "b.png", "moved here", 2) // the old object is removed
	next.Adopt = true
	wantPut(k, k.put(next, k.find("A")), next, "moved here")
	wantCount(k, 1)
}

func adoptsNoOther(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	for _, theirs := range []string{"not same", "", "the same and more"} {
		k.write("a.png", theirs)
		obj := k.object("A", "a.png", "the same", 1)
		obj.Adopt = true
		_, err := k.a.Put(k.ctx, obj, dam.Remote{})
		wantClass(k, "adopt other bytes", err, dam.ClassForeign)
		wantForeign(k, "a.png", theirs)
	}
	wantCount(k, 1)
}

// putAsStranger puts an object of another installation.
func putAsStranger(k *kit, path, body string) (dam.Adapter, dam.Object) {
	k.Helper()
	other := k.open(k.stranger)
	obj := k.objectOf(dam.Key{Instance: k.stranger, AssetID: "A"}, path, body, 7)
	if _, err := other.Put(k.ctx, obj, dam.Remote{}); err != nil {
		k.Fatalf("put by another installation: %v", err)
	}
	return other, obj
}

func wantStrangersObject(k *kit, other dam.Adapter, obj dam.Object, body string) {
	k.Helper()
	r, err := other.Find(k.ctx, obj.Mark.Key(), []string{obj.Path})
	if err != nil {
		k.Errorf("find by another installation: %v", err)
	}
	wantRemote(k, "another installation found", r, obj, body)
	wantBytes(k, obj.Path, body)
}

func anothersObject(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	other, theirs := putAsStranger(k, "dir/a.png", "theirs")
	wantForeign(k, "dir/a.png", "theirs")
	_, err := k.a.Put(k.ctx, k.object("A", "dir/a.png", "ours", 9), dam.Remote{})
	wantClass(k, "put over another installation's object", err, dam.ClassForeign)
	for _, mode := range k.can.Retire {
		k.retire(dam.Remote{Path: "dir/a.png", State: dam.Absent}, "A", 9, mode)
	}
	for _, r := range k.list() {
		if r.State != dam.Foreign {
			k.Errorf("list returned another installation's object as ours: %+v", r)
		}
	}
	wantStrangersObject(k, other, theirs, "theirs")

	ours := k.object("A", "dir/b.png", "ours", 10)
	wantPut(k, k.put(ours, dam.Remote{}), ours, "ours")
	wantStrangersObject(k, other, theirs, "theirs")
	wantCount(k, 2)
}

func adoptsNoOthers(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	other, theirs := putAsStranger(k, "a.png", "the same")
	obj := k.object("A", "a.png", "the same", 9)
	obj.Adopt = true
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	wantClass(k, "adopt another installation's object", err, dam.ClassForeign)
	wantStrangersObject(k, other, theirs, "the same")
	wantCount(k, 1)
}
