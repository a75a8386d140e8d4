package damtest

import "damsync/dam"

func retireCases() []testCase {
	return []testCase{
		{"deletes an object", deletes},
		{"an absent object is a success", retireOfNothing},
		{"puts again after a delete", backAfterDelete},
		{"archives an object", archives},
		{"deletes from the archive", deletesArchived},
		{"moves out of the archive", backByMove},
		{"puts out of the archive", backByPut},
		{"archives two assets of one path", archivesTwoOfOnePath},
		{"rejects an unknown mode", unknownMode},
	}
}

func deletes(k *kit) {
	k.needsMode(dam.RetireDelete)
	k.put(k.object("B", "dir/b.png", "two", 1), dam.Remote{})
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	for _, current := range []dam.Remote{r, r, {State: dam.Absent}} {
		wantState(k, "delete returned", k.retire(current, "A", 2, dam.RetireDelete), dam.Absent, 2)
		wantState(k, "find returned", k.find("A"), dam.Absent, 2)
	}
	wantNothingAt(k, "dir/a.png")
	wantCount(k, 1)
}

func retireOfNothing(k *kit) {
	for _, mode := range k.can.Retire {
		now := k.retire(dam.Remote{State: dam.Absent}, "A", 1, mode)
		wantState(k, string(mode)+" returned", now, dam.Absent, 1)
	}
	wantCount(k, 0)
}

func backAfterDelete(k *kit) {
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	gone := k.retire(r, "A", 2, dam.RetireDelete)
	again := k.object("A", "a.png", "one", 3)
	wantPut(k, k.put(again, gone), again, "one")
	wantCount(k, 1)
}

// archived returns asset A in the archive, at generation 2.
func archived(k *kit) dam.Remote {
	k.Helper()
	k.needsMode(dam.RetireArchive)
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	return k.retire(r, "A", 2, dam.RetireArchive)
}

func archives(k *kit) {
	first := archived(k)
	for _, again := range []dam.Remote{first, k.retire(first, "A", 2, dam.RetireArchive), k.find("A")} {
		wantState(k, "archive returned", again, dam.Archived, 2)
		if again.Mark.SHA256 != sum("one") || again.Mark.AssetID != "A" {
			k.Errorf("archive returned mark %+v", again.Mark)
		}
	}
	wantNothingAt(k, "dir/a.png")
	wantBody(k, first, "one")
	wantCount(k, 1)
	wantState(k, "another process found", k.findBy(k.open(k.instance), "A"), dam.Archived, 2)
}

func deletesArchived(k *kit) {
	k.needsMode(dam.RetireDelete)
	wantState(k, "delete returned", k.retire(archived(k), "A", 3, dam.RetireDelete), dam.Absent, 3)
	wantState(k, "find returned", k.find("A"), dam.Absent, 3)
	wantCount(k, 0)
}

func backByMove(k *kit) {
	k.needs(k.can.ServerSideMove, "moves")
	now := k.move(archived(k), 3, "dir/a.png")
	wantPut(k, now, k.object("A", "dir/a.png", "one", 3), "one")
	wantCount(k, 1)
}

func backByPut(k *kit) {
	r := archived(k)
	same := k.object("A", "dir/a.png", "one", 3)
	now := k.put(same, r)
	wantPut(k, now, same, "one")
	wantCount(k, 1)

	r = k.retire(now, "A", 4, dam.RetireArchive)
	next := k.object("A", "dir/b.png", "two", 5)
	wantPut(k, k.put(next, r), next, "two")
	wantCount(k, 1)
}

// archivesTwoOfOnePath archives two assets that had the same path, one after the
// other.
func archivesTwoOfOnePath(k *kit) {
	archived(k)
	r := k.put(k.object("B", "dir/a.png", "two", 1), dam.Remote{})
	k.retire(r, "B", 2, dam.RetireArchive)
	for id, body := range map[string]string{"A": "one", "B": "two"} {
		r := k.find(id)
		wantState(k, "find returned", r, dam.Archived, 2)
		wantBody(k, r, body)
	}
	wantCount(k, 2)
}

func unknownMode(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	_, err := k.a.Retire(k.ctx, r, k.mark("A", 2), "shred")
	wantClass(k, "retire in an unknown mode", err, dam.ClassInvalid)
	wantThere(k, obj, "one")
}
