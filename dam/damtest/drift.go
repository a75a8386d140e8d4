package damtest

import (
	"bytes"
	"context"

	"damsync/dam"
)

func driftCases() []testCase {
	return []testCase{
		{"an edit is noticed", edited},
		{"an edit is repaired", repaired},
		{"an incomplete object gets its bytes again", knownToBeEdited},
		{"an edited object is retired", editedThenRetired},
		{"a deletion is noticed", deleted},
		{"a deleted object is retired", deletedThenRetired},
		{"reads the bytes back", readsBack},
	}
}

// edited overwrites an object. Find must notice, and Put either replaces the object or
// rejects it as foreign.
func edited(k *kit) {
	k.needsBackdoor()
	r := k.put(k.object("A", "a.png", "original", 1), dam.Remote{})
	for i, body := range []string{"shorter", "the same", "much longer than before"} {
		k.write("a.png", body)
		now := k.find("A")
		if now.State == dam.Present && (now.Token == r.Token || now.Token == "") && now.Hash == r.Hash {
			k.Errorf("find did not notice the edit to %q: %+v", body, now)
		}
		generation := int64(i + 2)
		next := k.object("A", "a.png", "next "+body, generation)
		put, err := k.a.Put(k.ctx, next, now)
		if err != nil {
			wantClass(k, "put over an edited object", err, dam.ClassForeign)
			wantBytes(k, "a.png", body)
			wantCount(k, 1)
			return
		}
		wantPut(k, put, next, "next "+body)
		wantCount(k, 1)
		r = put
	}
}

// repaired puts the same version again after the caller has noticed an edit.
func repaired(k *kit) {
	k.needsBackdoor()
	obj := k.object("A", "a.png", "original", 1)
	r := k.put(obj, dam.Remote{})
	k.write("a.png", "the same")
	r.State = dam.Incomplete
	obj.Mark.Generation = 2
	put, err := k.a.Put(k.ctx, obj, r)
	if err != nil {
		wantClass(k, "put over an edited object", err, dam.ClassForeign)
		wantBytes(k, "a.png", "the same")
		return
	}
	wantPut(k, put, obj, "original")
	wantCount(k, 1)
}

// knownToBeEdited has a caller that has read back other bytes although the target
// notices no edit. Put sends the bytes, even if the mark says that they are right.
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
	wantPut(k, k.put(obj, r), obj, "original")
	if opened == 0 {
		k.Errorf("the body was not opened, although the bytes at the target are wrong")
	}
	wantCount(k, 1)
}

func editedThenRetired(k *kit) {
	k.needsBackdoor()
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "original", 1), dam.Remote{})
	k.write("a.png", "edited")
	k.retire(r, "A", 2, dam.RetireDelete)
	now := k.find("A")
	if now.State != dam.Absent && now.State != dam.Foreign {
		k.Errorf("after it was retired, find returned %+v", now)
	}
	if now.State == dam.Foreign {
		wantBytes(k, "a.png", "edited")
	}
}

func deleted(k *kit) {
	k.needsBackdoor()
	r := k.put(k.object("A", "dir/a.png", "one", 1), dam.Remote{})
	k.remove("dir/a.png")
	if now := k.find("A"); now.State != dam.Absent && now.State != dam.Incomplete {
		k.Errorf("find returned %s for a deleted object", now.State)
	}
	if k.can.MetadataWithoutBytes {
		_, err := k.a.SetMetadata(k.ctx, r, k.mark("A", 2), "t", nil)
		wantClass(k, "set metadata of a deleted object", err, dam.ClassNotFound)
	}
	if k.can.ServerSideMove {
		_, err := k.a.Move(k.ctx, r, k.mark("A", 2), "b.png")
		wantClass(k, "move a deleted object", err, dam.ClassNotFound)
	}
	again := k.object("A", "dir/a.png", "one", 2)
	wantPut(k, k.put(again, r), again, "one") // with the recorded state
	wantCount(k, 1)
}

func deletedThenRetired(k *kit) {
	k.needsBackdoor()
	for _, mode := range k.can.Retire {
		id := string(mode)
		r := k.put(k.object(id, id+"/a.png", "one", 1), dam.Remote{})
		k.remove(id + "/a.png")
		wantState(k, id+" returned", k.retire(r, id, 2, mode), dam.Absent, 2)
		wantState(k, "find returned", k.find(id), dam.Absent, 2)
	}
	wantCount(k, 0)
}

func readsBack(k *kit) {
	k.needs(k.can.ReadBack, "reading back")
	body := string(bytes.Repeat([]byte{0, 1, 2, 0xff, '\r', '\n'}, 50_000))
	r := k.put(k.object("A", "dir/a.bin", body, 1), dam.Remote{})
	if k.readBack(r) != body || k.readBack(k.find("A")) != body {
		k.Errorf("other bytes were read back")
	}
	_, err := dam.ReadBack(k.ctx, k.a, dam.Remote{Path: "b.bin", State: dam.Absent, Mark: k.mark("B", 1)})
	wantClass(k, "read back an absent object", err, dam.ClassNotFound)
}
