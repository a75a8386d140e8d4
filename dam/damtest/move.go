package damtest

import "damsync/dam"

func moveCases() []testCase {
	return []testCase{
		{"moves to another path", moves},
		{"repeating a move writes nothing", moveTwice},
		{"an absent object is not found", moveOfNothing},
		{"two objects swap paths", swapsPaths},
	}
}

func moves(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	obj := k.object("A", "dir/a.png", "one", 1)
	now := k.move(k.put(obj, dam.Remote{}), 2, "elsewhere/deep/b.png")
	obj.Path, obj.Mark.Generation = "elsewhere/deep/b.png", 2
	wantPut(k, now, obj, "one")
	wantNothingAt(k, "dir/a.png")
	wantCount(k, 1)
	if r := k.findBy(k.open(k.instance), "A"); r.Path != obj.Path {
		k.Errorf("another process found %+v", r)
	}
}

func moveTwice(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	first := k.move(k.put(k.object("A", "a.png", "one", 1), dam.Remote{}), 2, "b.png")
	wantNoWrite(k, func() (dam.Remote, error) { return k.a.Move(k.ctx, first, k.mark("A", 2), "b.png") }, first)
	wantCount(k, 1)
}

func moveOfNothing(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	_, err := k.a.Move(k.ctx, dam.Remote{State: dam.Absent}, k.mark("A", 1), "a.png")
	wantClass(k, "move an absent object", err, dam.ClassNotFound)
	wantCount(k, 0)
}

// swapsPaths swaps the paths of two objects by way of a third.
func swapsPaths(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	a, b := k.object("A", "a.png", "one", 1), k.object("B", "b.png", "two", 1)
	atA, atB := k.put(a, dam.Remote{}), k.put(b, dam.Remote{})
	atA = k.move(atA, 2, "aside/a.png")
	k.move(atB, 2, "a.png")
	k.move(atA, 3, "b.png")
	a.Path, a.Mark.Generation = "b.png", 3
	b.Path, b.Mark.Generation = "a.png", 2
	wantThere(k, a, "one")
	wantThere(k, b, "two")
	wantCount(k, 2)
}
