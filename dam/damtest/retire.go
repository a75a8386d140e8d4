package damtest

import "damsync/dam"

func retireCases() []testCase {
	return []testCase{
		{"delete", deletes},
		{"what never was", retireOfNothing},
		{"back after delete", backAfterDelete},
		{"archive", archives},
		{"archive, then delete", deletesArchived},
		{"back by move", backByMove},
		{"back by put", backByPut},
		{"two from one place", archivesTwoFromOnePlace},
		{"no such mode", noSuchMode},
	}
}

func (k *kit) retire(r dam.Remote, id string, generation int64, mode dam.RetireMode) dam.Remote {
	k.Helper()
	now, err := k.a.Retire(k.ctx, r, k.mark(id, generation), mode)
	if err != nil {
		k.Fatalf("%s %s: %v", mode, id, err)
	}
	return now
}

func (k *kit) wantState(where string, r dam.Remote, state dam.State, generation int64) {
	k.Helper()
	forgotten := state == dam.Absent && !k.can.RemembersRemoved
	if r.State != state || r.Mark.Generation != generation && !forgotten {
		k.Errorf("%s %s of generation %d, want %s of %d", where, r.State, r.Mark.Generation, state, generation)
	}
}

func deletes(k *kit) {
	k.needsMode(dam.RetireDelete)
	k.put(k.object("B", "dir/b.png", "two", 1), dam.Remote{})
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	for _, current := range []dam.Remote{r, r, {State: dam.Absent}} {
		k.wantState("delete answered", k.retire(current, "A", 2, dam.RetireDelete), dam.Absent, 2)
		k.wantState("find gives", k.find("A"), dam.Absent, 2)
	}
	k.wantNothingAt("dir/a.png")
	k.wantCount(1)
}

func retireOfNothing(k *kit) {
	for _, mode := range k.can.Retire {
		now := k.retire(dam.Remote{State: dam.Absent}, "A", 1, mode)
		k.wantState(string(mode)+" answered", now, dam.Absent, 1)
	}
	k.wantCount(0)
}

func backAfterDelete(k *kit) {
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	gone := k.retire(r, "A", 2, dam.RetireDelete)
	again := k.object("A", "a.png", "one", 3)
	k.wantPut(k.put(again, gone), again, "one")
	k.wantCount(1)
}

// archived is asset A in the archive at generation 2.
func (k *kit) archived() dam.Remote {
	k.Helper()
	k.needsMode(dam.RetireArchive)
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	return k.retire(r, "A", 2, dam.RetireArchive)
}

func archives(k *kit) {
	first := k.archived()
	for _, again := range []dam.Remote{first, k.retire(first, "A", 2, dam.RetireArchive), k.find("A")} {
		k.wantState("archive gives", again, dam.Archived, 2)
		if again.Mark.SHA256 != sum("one") || again.Mark.AssetID != "A" {
			k.Errorf("archive gives mark %+v", again.Mark)
		}
	}
	k.wantNothingAt("dir/a.png")
	k.wantBody(first, "one")
	k.wantCount(1)
	k.wantState("another process finds", k.findBy(k.open(k.instance), "A"), dam.Archived, 2)
}

func deletesArchived(k *kit) {
	k.needsMode(dam.RetireDelete)
	k.wantState("delete answered", k.retire(k.archived(), "A", 3, dam.RetireDelete), dam.Absent, 3)
	k.wantState("find gives", k.find("A"), dam.Absent, 3)
	k.wantCount(0)
}

func backByMove(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	now := k.move(k.archived(), 3, "dir/a.png")
	k.wantPut(now, k.object("A", "dir/a.png", "one", 3), "one")
	k.wantCount(1)
}

func backByPut(k *kit) {
	r := k.archived()
	same := k.object("A", "dir/a.png", "one", 3)
	now := k.put(same, r)
	k.wantPut(now, same, "one")
	k.wantCount(1)

	r = k.retire(now, "A", 4, dam.RetireArchive)
	next := k.object("A", "dir/b.png", "two", 5)
	k.wantPut(k.put(next, r), next, "two")
	k.wantCount(1)
}

// archivesTwoFromOnePlace: the second to leave a path does not take the place of
// the first.
func archivesTwoFromOnePlace(k *kit) {
	k.archived()
	r := k.put(k.object("B", "dir/a.png", "two", 1), dam.Remote{})
	k.retire(r, "B", 2, dam.RetireArchive)
	for id, body := range map[string]string{"A": "one", "B": "two"} {
		r := k.find(id)
		k.wantState("find gives", r, dam.Archived, 2)
		k.wantBody(r, body)
	}
	k.wantCount(2)
}

func noSuchMode(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	_, err := k.a.Retire(k.ctx, r, k.mark("A", 2), "shred")
	k.wantClass("retire in an unknown mode", err, dam.ClassInvalid)
	k.wantThere(obj, "one")
}
