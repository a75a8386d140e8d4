package damtest

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // a target's checksum is compared, nothing is secured
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"damsync/dam"
)

// caseLimit is how long one case may take before the suite gives it up.
const caseLimit = 5 * time.Minute

// kit is one case's target with what cases do again and again.
type kit struct {
	TB
	ctx    context.Context //nolint:containedctx // of the case
	target Target
	a      dam.Adapter
	can    dam.Capabilities
	made   map[dam.Key][]string // paths asked for

	// Two installations, new ones for each case, so that a place which
	// remembers what was removed can be used again.
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

// open gives an adapter as another process would have it.
func (k *kit) open(inst string) dam.Adapter {
	k.Helper()
	a, err := k.target.Open(inst)
	if err != nil {
		k.Fatalf("open adapter: %v", err)
	}
	return a
}

// clean removes what was made, as far as that can be.
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

func (k *kit) needs(yes bool, what string) {
	k.Helper()
	if !yes {
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

func (k *kit) markOf(key dam.Key, generation int64) dam.Mark {
	return dam.Mark{
		Instance: key.Instance, Target: k.target.Name, AssetID: key.AssetID,
		Size: dam.UnknownSize, MetadataHash: "hash-2", Generation: generation,
	}
}

// mark is for calls that move no bytes.
func (k *kit) mark(id string, generation int64) dam.Mark { return k.markOf(k.key(id), generation) }

// object is asset id at path, with body as content and as name of its version.
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

// content opens body; with a digest it is promised.
func content(body, digest string) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return dam.Opener(int64(len(body)), digest, func(_ context.Context, at int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body[at:])), nil
	})
}

func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

func (k *kit) put(obj dam.Object, current dam.Remote) dam.Remote {
	k.Helper()
	r, err := k.a.Put(k.ctx, obj, current)
	if err != nil {
		k.Fatalf("put %s at %q: %v", obj.Mark.AssetID, obj.Path, err)
	}
	return r
}

// find looks with all paths the case has used, the newest first.
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

// wantClass fails unless err has one of the classes.
func (k *kit) wantClass(doing string, err error, classes ...dam.Class) {
	k.Helper()
	if got := dam.Classify(err); !slices.Contains(classes, got) {
		k.Errorf("%s: class %q, want %q; error: %v", doing, got, classes, err)
	}
}

// wantPut holds an answer, and what Find says and the target holds, against
// what was put.
func (k *kit) wantPut(r dam.Remote, obj dam.Object, body string) {
	k.Helper()
	k.wantRemote("put answered", r, obj, body)
	k.wantThere(obj, body)
}

// wantThere holds what the target has against what was put.
func (k *kit) wantThere(obj dam.Object, body string) {
	k.Helper()
	r := k.find(obj.Mark.AssetID)
	k.wantRemote("find gives", r, obj, body)
	k.wantBody(r, body)
	k.wantMetadata(obj.Path, obj.Title, obj.Metadata)
}

func (k *kit) wantRemote(where string, r dam.Remote, obj dam.Object, body string) {
	k.Helper()
	want := obj.Mark
	want.SHA256, want.Size = sum(body), int64(len(body))
	if r.State != dam.Present || r.Path != obj.Path || r.Mark != want {
		k.Errorf("%s %s at %q with %+v; want present at %q with %+v", where, r.State, r.Path, r.Mark, obj.Path, want)
	}
	k.wantHash(where, r, body)
	if len(r.Ref) > 1024 {
		k.Errorf("%s a ref of %d bytes", where, len(r.Ref))
	}
}

func (k *kit) wantHash(where string, r dam.Remote, body string) {
	k.Helper()
	if r.Hash == "" {
		return
	}
	want := r.Hash
	switch k.can.ContentHash {
	case "sha256":
		want = "sha256:" + sum(body)
	case "md5":
		want = fmt.Sprintf("md5:%x", md5.Sum([]byte(body))) //nolint:gosec // see the import
	}
	if r.Hash != want || !strings.HasPrefix(r.Hash, k.can.ContentHash+":") {
		k.Errorf("%s hash %q, want %q, of %q as described", where, r.Hash, want, k.can.ContentHash)
	}
}

// wantBody reads the bytes in whatever way there is.
func (k *kit) wantBody(r dam.Remote, body string) {
	k.Helper()
	if k.can.ReadBack {
		if got := k.readBack(r); got != body {
			k.Errorf("read back %s, want %s", short(got), short(body))
		}
	}
	if k.target.Backdoor != nil && r.State == dam.Present {
		k.wantBytes(r.Path, body)
	}
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

// wantBytes reads by the backdoor, where there is one.
func (k *kit) wantBytes(path, body string) {
	k.Helper()
	if k.target.Backdoor == nil {
		return
	}
	seen, err := k.target.Backdoor.Look(k.ctx, path)
	if err != nil || !bytes.Equal(seen.Body, []byte(body)) {
		k.Errorf("at %q is %s, want %s; error: %v", path, short(string(seen.Body)), short(body), err)
	}
}

func (k *kit) wantNothingAt(path string) {
	k.Helper()
	if k.target.Backdoor == nil {
		return
	}
	if _, err := k.target.Backdoor.Look(k.ctx, path); !errors.Is(err, fs.ErrNotExist) {
		k.Errorf("at %q something is, want nothing; error: %v", path, err)
	}
}

// wantCount counts what is in the place, ours and foreign.
func (k *kit) wantCount(n int) {
	k.Helper()
	listed := k.list()
	if len(listed) != n {
		k.Errorf("%d objects listed, want %d: %v", len(listed), n, listed)
	}
	if k.target.Backdoor == nil {
		return
	}
	paths, err := k.target.Backdoor.Paths(k.ctx)
	if err != nil || len(paths) != n {
		k.Errorf("%d objects in the place, want %d: %q, %v", len(paths), n, paths, err)
	}
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
		k.Fatalf("write %q by the backdoor: %v", path, err)
	}
}

// steps counts the changes made at the target while f runs; false where they
// cannot be counted.
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

// alike reports whether two answers tell of the same object, unchanged. What
// one of them leaves out is not compared.
func alike(a, b dam.Remote) bool {
	tokens := a.Token == b.Token || a.Token == "" || b.Token == ""
	hashes := a.Hash == b.Hash || a.Hash == "" || b.Hash == ""
	return tokens && hashes && a.Ref == b.Ref && a.Path == b.Path && a.State == b.State && a.Mark == b.Mark
}

func short(s string) string {
	if len(s) <= 200 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:200], len(s))
}
