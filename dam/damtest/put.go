package damtest

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"damsync/dam"
)

func putCases() []testCase {
	return []testCase{
		{"capabilities are consistent", describes},
		{"check leaves nothing behind", checks},
		{"creates an object", creates},
		{"creates with a known digest", createsWithDigest},
		{"stores an empty file", createsEmpty},
		{"stores a body of unknown size", createsWithoutSize},
		{"stores a large file", createsLarge},
		{"repeating a put writes nothing", repeatsPut},
		{"replaces content and metadata", replaces},
		{"replaces at another path", replacesElsewhere},
		{"another asset's path is a conflict", conflicts},
		{"stores many objects concurrently", manyAtOnce},
		{"asset ids are opaque", assetIDs},
		{"rejects marks of others", rejectsMarks},
	}
}

func describes(k *kit) {
	for _, mode := range k.can.Retire {
		if mode != dam.RetireDelete && mode != dam.RetireArchive {
			k.Errorf("retire mode %q is unknown", mode)
		}
	}
	if k.can.Adapter == "" {
		k.Errorf("the adapter has no name")
	}
	if _, ok := k.a.(dam.ReadBacker); k.can.ReadBack && !ok {
		k.Errorf("the capabilities name ReadBack, but the adapter is no ReadBacker")
	}
	if k.can.ResumableUpload && k.can.MinPartBytes <= 0 {
		k.Errorf("uploads are resumable, but MinPartBytes is %d", k.can.MinPartBytes)
	}
}

func checks(k *kit) {
	for range 2 {
		if err := k.a.Check(k.ctx, false); err != nil {
			k.Fatalf("check an empty target: %v", err)
		}
	}
	wantCount(k, 0)
	k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	for _, a := range []dam.Adapter{k.a, k.open(k.instance)} {
		if err := a.Check(k.ctx, true); err != nil {
			k.Errorf("check a populated target: %v", err)
		}
	}
	wantCount(k, 1)
}

func creates(k *kit) {
	if r := k.find("A"); r.State != dam.Absent || r.Mark.Generation != 0 {
		k.Errorf("find returned %+v from an empty target", r)
	}
	obj := k.object("A", "dir/deep/a.png", "one", 3)
	wantPut(k, k.put(obj, dam.Remote{State: dam.Absent}), obj, "one")
	wantCount(k, 1)
	if r := k.findBy(k.open(k.instance), "A"); r.State != dam.Present {
		k.Errorf("another process found %+v", r)
	}
}

func createsWithDigest(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Mark.SHA256, obj.Open = sum("one"), content("one", sum("one"))
	wantPut(k, k.put(obj, dam.Remote{}), obj, "one")
}

func createsEmpty(k *kit) {
	obj := k.object("A", "empty.txt", "", 1)
	wantPut(k, k.put(obj, dam.Remote{}), obj, "")
}

func createsWithoutSize(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Mark.Size = dam.UnknownSize
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return dam.NewSource(strings.NewReader("one"), dam.UnknownSize, ""), nil
	}
	wantPut(k, k.put(obj, dam.Remote{}), obj, "one")
}

func createsLarge(k *kit) {
	body := strings.Repeat("0123456789abcdef", 1<<16) + "end"
	obj := k.object("A", "large.bin", body, 1)
	wantPut(k, k.put(obj, dam.Remote{}), obj, body)
}

func repeatsPut(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	first := k.put(obj, dam.Remote{})
	for _, current := range []dam.Remote{first, {}} {
		wantNoWrite(k, func() (dam.Remote, error) { return k.a.Put(k.ctx, obj, current) }, first)
	}
	wantThere(k, obj, "one")
	wantCount(k, 1)
}

func replaces(k *kit) {
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	next := k.object("A", "a.png", "two!", 2)
	next.Title, next.Metadata = "Next", dam.Metadata{"other": "x"}
	now := k.put(next, r)
	wantPut(k, now, next, "two!")
	wantCount(k, 1)
	if now.Token == r.Token && r.Token != "" {
		k.Errorf("other bytes have the same token %q", r.Token)
	}
}

func replacesElsewhere(k *kit) {
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	next := k.object("A", "dir/b.png", "two", 2)
	wantPut(k, k.put(next, r), next, "two")
	wantNothingAt(k, "a.png")
	wantCount(k, 1)

	same := k.object("A", "c.png", "two", 3) // bytes that the target has
	wantPut(k, k.put(same, k.find("A")), same, "two")
	wantNothingAt(k, "dir/b.png")
	wantCount(k, 1)
}

func conflicts(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	a := k.object("A", "a.png", "one", 1)
	k.put(a, dam.Remote{})
	_, err := k.a.Put(k.ctx, k.object("B", "a.png", "two", 1), dam.Remote{})
	wantConflict(k, "put at another's path", err, "A")
	b := k.object("B", "b.png", "two", 1)
	r := k.put(b, dam.Remote{})
	if k.can.ServerSideMove {
		_, err = k.a.Move(k.ctx, r, k.mark("B", 2), "a.png")
		wantConflict(k, "move to another's path", err, "A")
	}
	wantThere(k, a, "one")
	wantBytes(k, "b.png", "two")
	wantCount(k, 2)
}

func manyAtOnce(k *kit) {
	const n = 16
	objects := make([]dam.Object, n)
	for i := range objects {
		objects[i] = k.object(fmt.Sprint("asset-", i), fmt.Sprintf("dir-%d/%d.png", i%3, i), fmt.Sprint("body ", i), 1)
	}
	var workers errgroup.Group
	for _, obj := range objects {
		workers.Go(func() error {
			_, err := k.a.Put(k.ctx, obj, dam.Remote{})
			return err
		})
	}
	if err := workers.Wait(); err != nil {
		k.Fatalf("put: %v", err)
	}
	for i, obj := range objects {
		wantThere(k, obj, fmt.Sprint("body ", i))
	}
	wantCount(k, n)
}

// assetIDs puts assets whose ids differ in a few bytes, or are no safe file names.
func assetIDs(k *kit) {
	ids := []string{"a", "A", "a/b", "../a", "a b", "é", "e\u0301", "%61", ".", strings.Repeat("x", 250), "urn:x:1?y=2#z"}
	for i, id := range ids {
		k.put(k.object(id, fmt.Sprintf("%d.png", i), "body of "+id, 1), dam.Remote{})
	}
	for i, id := range ids {
		wantThere(k, k.object(id, fmt.Sprintf("%d.png", i), "body of "+id, 1), "body of "+id)
	}
	wantCount(k, len(ids))
}

func rejectsMarks(k *kit) {
	for name, spoil := range map[string]func(*dam.OwnerMark){
		"instance": func(m *dam.OwnerMark) { m.Instance = k.stranger },
		"target":   func(m *dam.OwnerMark) { m.Target = "another" },
		"asset id": func(m *dam.OwnerMark) { m.AssetID = "" },
	} {
		obj := k.object("A", "a.png", "one", 1)
		spoil(&obj.Mark)
		_, err := k.a.Put(k.ctx, obj, dam.Remote{})
		wantClass(k, "put with a wrong "+name, err, dam.ClassInvalid)
	}
	wantCount(k, 0)
}
