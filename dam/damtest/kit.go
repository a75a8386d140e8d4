package damtest

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"damsync/dam"
)

// caseLimit limits the time of one case.
const caseLimit = 5 * time.Minute

// kit is the target of one case, with the calls that many cases make.
type kit struct {
	TB
	ctx    context.Context //nolint:containedctx // of the case
	target Target
	a      dam.Adapter
	can    dam.Capabilities
	made   map[dam.Key][]string // paths of the objects put, newest first

	// Two installations, new for each case, so that cases can share a place that
	// remembers what was removed.
	instance, stranger string
}

func newKit(t TB, target Target) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	t.Cleanup(cancel)
	k := &kit{
		TB: t, ctx: ctx, target: target, made: map[dam.Key][]string{},
		instance: "damtest-" + rand.Text(), stranger: "damtest-" + rand.Text(),
	}
	k.a = k.open(k.instance)
	k.can = k.a.Describe()
	if target.Clean {
		t.Cleanup(k.clean)
	}
	return k
}

// open returns a new adapter, as another process would.
func (k *kit) open(inst string) dam.Adapter {
	k.Helper()
	a, err := k.target.Open(inst)
	if err != nil {
		k.Fatalf("open adapter: %v", err)
	}
	return a
}

// clean removes the objects of the case. It logs what it cannot remove.
func (k *kit) clean() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), caseLimit)
	defer cancel()
	for key, hints := range k.made {
		a := k.open(key.Instance)
		r, err := a.Find(ctx, key, hints)
		if err == nil && r.State != dam.Absent && r.State != dam.Foreign {
			_, err = a.Retire(ctx, r, k.markOf(key, r.Mark.Generation+1), dam.RetireDelete)
		}
		if err != nil {
			k.Logf("clean %s: %v", key.AssetID, err)
		}
	}
}

// needs skips the case unless ok.
func (k *kit) needs(ok bool, what string) {
	k.Helper()
	if !ok {
		k.Skipf("needs %s", what)
	}
}

func (k *kit) needsMode(mode dam.RetireMode) {
	k.Helper()
	k.needs(slices.Contains(k.can.Retire, mode), "retire mode "+string(mode))
}

func (k *kit) needsBackdoor() {
	k.Helper()
	k.needs(k.target.Backdoor != nil, "a backdoor")
}

func (k *kit) key(id string) dam.Key { return dam.Key{Instance: k.instance, AssetID: id} }

func (k *kit) markOf(key dam.Key, generation int64) dam.OwnerMark {
	return dam.OwnerMark{
		Instance: key.Instance, Target: k.target.Name, AssetID: key.AssetID,
		Size: dam.UnknownSize, MetadataHash: "hash-2", Generation: generation,
	}
}

// mark is the mark of a call that sends no bytes.
func (k *kit) mark(id string, generation int64) dam.OwnerMark { return k.markOf(k.key(id), generation) }

// object returns asset id at path, with body as its content and version.
func (k *kit) object(id, path, body string, generation int64) dam.Object {
	return k.objectOf(k.key(id), path, body, generation)
}

func (k *kit) objectOf(key dam.Key, path, body string, generation int64) dam.Object {
	k.made[key] = append([]string{path}, k.made[key]...)
	m := k.markOf(key, generation)
	m.Version, m.Size, m.MetadataHash = "version "+sum(body)[:8], int64(len(body)), "hash-1"
	return dam.Object{
		Mark: m, Path: path, Title: "Title of " + key.AssetID, MIMEType: "image/png",
		Metadata: dam.Metadata{"alt": "A <b> & c", "tags": []any{"one", "two"}},
		Open:     content(body, ""),
	}
}

func (k *kit) put(obj dam.Object, current dam.Remote) dam.Remote {
	k.Helper()
	r, err := k.a.Put(k.ctx, obj, current)
	if err != nil {
		k.Fatalf("put %s at %q: %v", obj.Mark.AssetID, obj.Path, err)
	}
	return r
}

// find calls Find with all paths of the case as hints.
func (k *kit) find(id string) dam.Remote {
	k.Helper()
	return k.findBy(k.a, id)
}

func (k *kit) findBy(a dam.Adapter, id string) dam.Remote {
	k.Helper()
	r, err := a.Find(k.ctx, k.key(id), k.made[k.key(id)])
	if err != nil {
		k.Fatalf("find %s: %v", id, err)
	}
	return r
}

func (k *kit) readBack(r dam.Remote) string {
	k.Helper()
	reader, err := dam.ReadBack(k.ctx, k.a, r)
	if err != nil {
		k.Errorf("read back: %v", err)
		return ""
	}
	defer reader.Close()
	got, err := io.ReadAll(reader)
	if err != nil {
		k.Errorf("read back: %v", err)
	}
	return string(got)
}

func (k *kit) list() []dam.Remote {
	k.Helper()
	var out []dam.Remote
	for r, err := range k.a.List(k.ctx) {
		if err != nil {
			k.Fatalf("list: %v", err)
		}
		out = append(out, r)
	}
	return out
}

func (k *kit) write(path, body string) {
	k.Helper()
	if err := k.target.Backdoor.Write(k.ctx, path, []byte(body)); err != nil {
		k.Fatalf("write %q through the backdoor: %v", path, err)
	}
}

// steps counts the changes at the target while f runs. counted is false where the
// target cannot count them.
func (k *kit) steps(f func()) (n int, counted bool) {
	if k.target.OnStep == nil {
		f()
		return 0, false
	}
	var count atomic.Int64
	k.target.OnStep(func(string) error { count.Add(1); return nil })
	defer k.target.OnStep(nil)
	f()
	return int(count.Load()), true
}

// move calls Move and adds path to the hints.
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

func (k *kit) retire(r dam.Remote, id string, generation int64, mode dam.RetireMode) dam.Remote {
	k.Helper()
	now, err := k.a.Retire(k.ctx, r, k.mark(id, generation), mode)
	if err != nil {
		k.Fatalf("%s %s: %v", mode, id, err)
	}
	return now
}

func (k *kit) remove(path string) {
	k.Helper()
	if err := k.target.Backdoor.Remove(k.ctx, path); err != nil {
		k.Fatalf("remove %q through the backdoor: %v", path, err)
	}
}
