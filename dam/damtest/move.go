package damtest

import (
	"errors"

	"damsync/dam"
)

func moveCases() []testCase {
	return []testCase{
		{"another path", moves},
		{"the same again", moveTwice},
		{"of nothing", moveOfNothing},
		{"in a circle", movesInCircle},
	}
}

func (k *kit) wantConflict(doing string, err error, holder string) {
	k.Helper()
	k.wantClass(doing, err, dam.ClassConflict)
	var conflict *dam.Conflict
	if errors.As(err, &conflict) && conflict.Holder != holder {
		k.Errorf("%s: held by %q, want %q", doing, conflict.Holder, holder)
	}
}

// move moves as the core would.
func (k *kit) move(r dam.Remote, generation int64, path string) dam.Remote {
	k.Helper()
	key := k.key(r.Mark.AssetID)
	k.made[key] = append([]string{path}, k.made[key]...)
	now, err := k.a.Move(k.ctx, r, k.mark(r.Mark.AssetID, generation), path)
	if err != nil {
		k.Fatalf("move %s to %q: %v", r.Mark.AssetID, path, err)
	}
	return now
}

func moves(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	obj := k.object("A", "dir/a.png", "one", 1)
	now := k.move(k.put(obj, dam.Remote{}), 2, "elsewhere/deep/b.png")
	obj.Path, obj.Mark.Generation = "elsewhere/deep/b.png", 2
	k.wantPut(now, obj, "one")
	k.wantNothingAt("dir/a.png")
	k.wantCount(1)
	if r := k.findBy(k.open(k.instance), "A"); r.Path != obj.Path {
		k.Errorf("another process finds %+v", r)
	}
}

func moveTwice(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	first := k.move(k.put(k.object("A", "a.png", "one", 1), dam.Remote{}), 2, "b.png")
	k.wantNoWrite(func() (dam.Remote, error) { return k.a.Move(k.ctx, first, k.mark("A", 2), "b.png") }, first)
	k.wantCount(1)
}

func moveOfNothing(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	_, err := k.a.Move(k.ctx, dam.Remote{State: dam.Absent}, k.mark("A", 1), "a.png")
	k.wantClass("move what is not there", err, dam.ClassNotFound)
	k.wantCount(0)
}

// movesInCircle lets two objects change places over a third path.
func movesInCircle(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	a, b := k.object("A", "a.png", "one", 1), k.object("B", "b.png", "two", 1)
	atA, atB := k.put(a, dam.Remote{}), k.put(b, dam.Remote{})
	atA = k.move(atA, 2, "aside/a.png")
	k.move(atB, 2, "a.png")
	k.move(atA, 3, "b.png")
	a.Path, a.Mark.Generation = "b.png", 3
	b.Path, b.Mark.Generation = "a.png", 2
	k.wantThere(a, "one")
	k.wantThere(b, "two")
	k.wantCount(2)
}
