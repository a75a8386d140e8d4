package damtest

import (
	"bytes"
	"context"

	"damsync/dam"
)

func driftCases() []testCase {
	return []testCase{
		{"edited", edited},
		{"edited, then repaired", repaired},
		{"known to be edited", knownToBeEdited},
		{"edited, then retired", editedThenRetired},
		{"deleted", deleted},
		{"deleted, then retired", deletedThenRetired},
		{"read back", readsBack},
	}
}

// edited: what somebody wrote over ours does not pass for ours unchanged, and
// is either replaced as ours or refused as foreign.
func edited(k *kit) {
	k.needsBackdoor()
	r := k.put(k.object("A", "a.png", "original", 1), dam.Remote{})
	for i, body := range []string{"shorter", "the same", "much longer than before"} {
		k.write("a.png", body)
		now := k.find("A")
		if now.State == dam.Present && (now.Token == r.Token || now.Token == "") && now.Hash == r.Hash {
			k.Errorf("what was edited to %q is found unchanged: %+v", body, now)
		}
		generation := int64(i + 2)
		next := k.object("A", "a.png", "next "+body, generation)
		put, err := k.a.Put(k.ctx, next, now)
		if err != nil {
			k.wantClass("put over an edited object", err, dam.ClassForeign)
			k.wantBytes("a.png", body)
			k.wantCount(1)
			return
		}
		k.wantPut(put, next, "next "+body)
		k.wantCount(1)
		r = put
	}
}

// repaired: the same version is put again when the caller knows that what is
// there is not it.
func repaired(k *kit) {
	k.needsBackdoor()
	obj := k.object("A", "a.png", "original", 1)
	r := k.put(obj, dam.Remote{})
	k.write("a.png", "the same")
	r.State = dam.Incomplete
	obj.Mark.Generation = 2
	put, err := k.a.Put(k.ctx, obj, r)
	if err != nil {
		k.wantClass("put over an edited object", err, dam.ClassForeign)
		k.wantBytes("a.png", "the same")
		return
	}
	k.wantPut(put, obj, "original")
	k.wantCount(1)
}

// knownToBeEdited: the caller has read back other bytes where the target sees
// none, and the bytes are sent, whatever the mark says.
func knownToBeEdited(k *kit) {
	obj := k.object("A", "a.png", "original", 1)
	r := k.put(obj, dam.Remote{})
	r.State = dam.Incomplete
	opened := 0
	open := obj.Open
	obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		opened++
		return open(ctx, from)
	}
	obj.Mark.Generation = 2
	k.wantPut(k.put(obj, r), obj, "original")
	if opened == 0 {
		k.Errorf("the bytes were not asked for, though those at the target are not to be trusted")
	}
	k.wantCount(1)
}

func editedThenRetired(k *kit) {
	k.needsBackdoor()
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "original", 1), dam.Remote{})
	k.write("a.png", "edited")
	k.retire(r, "A", 2, dam.RetireDelete)
	now := k.find("A")
	if now.State != dam.Absent && now.State != dam.Foreign {
		k.Errorf("after it was retired find gives %+v", now)
	}
	if now.State == dam.Foreign {
		k.wantBytes("a.png", "edited")
	}
}

func deleted(k *kit) {
	k.needsBackdoor()
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	k.remove("dir/a.png")
	if now := k.find("A"); now.State != dam.Absent && now.State != dam.Incomplete {
		k.Errorf("what somebody deleted is found %s", now.State)
	}
	if k.can.MetadataWithoutBytes {
		_, err := k.a.SetMetadata(k.ctx, r, k.mark("A", 2), "t", nil)
		k.wantClass("set metadata of what somebody deleted", err, dam.ClassNotFound)
	}
	if k.can.ServerSideMove {
		_, err := k.a.Move(k.ctx, r, k.mark("A", 2), "b.png")
		k.wantClass("move what somebody deleted", err, dam.ClassNotFound)
	}
	again := k.object("A", "dir/a.png", "one", 2)
	k.wantPut(k.put(again, r), again, "one") // also with what was recorded
	k.wantCount(1)
}

func (k *kit) remove(path string) {
	k.Helper()
	if err := k.target.Backdoor.Remove(k.ctx, path); err != nil {
		k.Fatalf("remove %q by the backdoor: %v", path, err)
	}
}

func deletedThenRetired(k *kit) {
	k.needsBackdoor()
	for _, mode := range k.can.Retire {
		id := string(mode)
		r := k.put(k.object(id, id+"/a.png", "one", 1), dam.Remote{})
		k.remove(id + "/a.png")
		k.wantState(id+" answered", k.retire(r, id, 2, mode), dam.Absent, 2)
		k.wantState("find gives", k.find(id), dam.Absent, 2)
	}
	k.wantCount(0)
}

func readsBack(k *kit) {
	k.needs(k.can.ReadBack, "reading back")
	body := string(bytes.Repeat([]byte{0, 1, 2, 0xff, '\r', '\n'}, 50_000))
	r := k.put(k.object("A", "dir/a.bin", body, 1), dam.Remote{})
	if k.readBack(r) != body || k.readBack(k.find("A")) != body {
		k.Errorf("other bytes were read back")
	}
	_, err := dam.ReadBack(k.ctx, k.a, dam.Remote{Path: "b.bin", State: dam.Absent, Mark: k.mark("B", 1)})
	k.wantClass("read back what is not there", err, dam.ClassNotFound)
}
