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
		{"describe", describes},
		{"check leaves nothing", checks},
		{"create", creates},
		{"create with the digest known", createsPromised},
		{"empty file", createsEmpty},
		{"size unknown", createsUnpromised},
		{"large file", createsLarge},
		{"the same again", putTwice},
		{"new version", replaces},
		{"new version elsewhere", replacesElsewhere},
		{"another's place", conflicts},
		{"many at once", manyAtOnce},
		{"asset ids", assetIDs},
		{"marks of others", othersMarks},
	}
}

func describes(k *kit) {
	for _, mode := range k.can.Retire {
		if mode != dam.RetireDelete && mode != dam.RetireArchive {
			k.Errorf("retire mode %q is none", mode)
		}
	}
	if k.can.Adapter == "" {
		k.Errorf("the adapter has no name")
	}
	if _, ok := k.a.(dam.ReadBacker); k.can.ReadBack && !ok {
		k.Errorf("reading back is described but not implemented")
	}
	if k.can.ResumableUpload && k.can.MinPartBytes <= 0 {
		k.Errorf("uploads resume, but the least part is %d bytes", k.can.MinPartBytes)
	}
}

func checks(k *kit) {
	for range 2 {
		if err := k.a.Check(k.ctx, false); err != nil {
			k.Fatalf("check an empty target: %v", err)
		}
	}
	k.wantCount(0)
	k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	for _, a := range []dam.Adapter{k.a, k.open(k.instance)} {
		if err := a.Check(k.ctx, true); err != nil {
			k.Errorf("check a populated target: %v", err)
		}
	}
	k.wantCount(1)
}

func creates(k *kit) {
	if r := k.find("A"); r.State != dam.Absent || r.Mark.Generation != 0 {
		k.Errorf("an empty target has %+v", r)
	}
	obj := k.object("A", "dir/deep/a.png", "one", 3)
	k.wantPut(k.put(obj, dam.Remote{State: dam.Absent}), obj, "one")
	k.wantCount(1)
	if r := k.findBy(k.open(k.instance), "A"); r.State != dam.Present {
		k.Errorf("another process finds %+v", r)
	}
}

func createsPromised(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Mark.SHA256, obj.Open = sum("one"), content("one", sum("one"))
	k.wantPut(k.put(obj, dam.Remote{}), obj, "one")
}

func createsEmpty(k *kit) {
	obj := k.object("A", "empty.txt", "", 1)
	k.wantPut(k.put(obj, dam.Remote{}), obj, "")
}

func createsUnpromised(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Mark.Size = dam.UnknownSize
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return dam.NewSource(strings.NewReader("one"), dam.UnknownSize, ""), nil
	}
	k.wantPut(k.put(obj, dam.Remote{}), obj, "one")
}

func createsLarge(k *kit) {
	body := strings.Repeat("0123456789abcdef", 1<<16) + "end"
	obj := k.object("A", "large.bin", body, 1)
	k.wantPut(k.put(obj, dam.Remote{}), obj, body)
}

// wantNoWrite repeats a call that finds everything as asked.
func (k *kit) wantNoWrite(again func() (dam.Remote, error), first dam.Remote) {
	k.Helper()
	var r dam.Remote
	var err error
	steps, counted := k.steps(func() { r, err = again() })
	if err != nil {
		k.Fatalf("the same call again: %v", err)
	}
	if !alike(r, first) {
		k.Errorf("the same call again answered %+v, first %+v", r, first)
	}
	if counted && steps != 0 {
		k.Errorf("the same call again changed the target in %d steps", steps)
	}
	if now := k.find(first.Mark.AssetID); first.Mark.AssetID != "" && !alike(now, first) {
		k.Errorf("after the same call again find gives %+v, first %+v", now, first)
	}
}

func putTwice(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	first := k.put(obj, dam.Remote{})
	for _, current := range []dam.Remote{first, {}} {
		k.wantNoWrite(func() (dam.Remote, error) { return k.a.Put(k.ctx, obj, current) }, first)
	}
	k.wantThere(obj, "one")
	k.wantCount(1)
}

func replaces(k *kit) {
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	next := k.object("A", "a.png", "two!", 2)
	next.Title, next.Metadata = "Next", dam.Metadata{"other": "x"}
	now := k.put(next, r)
	k.wantPut(now, next, "two!")
	k.wantCount(1)
	if now.Token == r.Token && r.Token != "" {
		k.Errorf("other bytes have the same token %q", r.Token)
	}
}

func replacesElsewhere(k *kit) {
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	next := k.object("A", "dir/b.png", "two", 2)
	k.wantPut(k.put(next, r), next, "two")
	k.wantNothingAt("a.png")
	k.wantCount(1)

	same := k.object("A", "c.png", "two", 3) // the bytes are there already
	k.wantPut(k.put(same, k.find("A")), same, "two")
	k.wantNothingAt("dir/b.png")
	k.wantCount(1)
}

func conflicts(k *kit) {
	k.needs(k.can.UniquePaths, "unique paths")
	a := k.object("A", "a.png", "one", 1)
	k.put(a, dam.Remote{})
	_, err := k.a.Put(k.ctx, k.object("B", "a.png", "two", 1), dam.Remote{})
	k.wantConflict("put at another's path", err, "A")
	b := k.object("B", "b.png", "two", 1)
	r := k.put(b, dam.Remote{})
	if k.can.ServerSideMove {
		_, err = k.a.Move(k.ctx, r, k.mark("B", 2), "a.png")
		k.wantConflict("move to another's path", err, "A")
	}
	k.wantThere(a, "one")
	k.wantBytes("b.png", "two")
	k.wantCount(2)
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
		k.wantThere(obj, fmt.Sprint("body ", i))
	}
	k.wantCount(n)
}

// assetIDs are opaque text, compared byte by byte.
func assetIDs(k *kit) {
	ids := []string{"a", "A", "a/b", "../a", "a b", "é", "e\u0301", "%61", ".", strings.Repeat("x", 250), "urn:x:1?y=2#z"}
	for i, id := range ids {
		k.put(k.object(id, fmt.Sprintf("%d.png", i), "body of "+id, 1), dam.Remote{})
	}
	for i, id := range ids {
		k.wantThere(k.object(id, fmt.Sprintf("%d.png", i), "body of "+id, 1), "body of "+id)
	}
	k.wantCount(len(ids))
}

func othersMarks(k *kit) {
	for name, spoil := range map[string]func(*dam.Mark){
		"instance": func(m *dam.Mark) { m.Instance = k.stranger },
		"target":   func(m *dam.Mark) { m.Target = "another" },
		"asset id": func(m *dam.Mark) { m.AssetID = "" },
	} {
		obj := k.object("A", "a.png", "one", 1)
		spoil(&obj.Mark)
		_, err := k.a.Put(k.ctx, obj, dam.Remote{})
		k.wantClass("put with a wrong "+name, err, dam.ClassInvalid)
	}
	k.wantCount(0)
}
