package damtest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // a target's checksum is compared, nothing is secured
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"damsync/dam"
)

// wantClass fails unless err has one of the classes.
func wantClass(k *kit, doing string, err error, classes ...dam.Class) {
	k.Helper()
	if got := dam.Classify(err); !slices.Contains(classes, got) {
		k.Errorf("%s: class %q, want %q; error: %v", doing, got, classes, err)
	}
}

func wantConflict(k *kit, doing string, err error, holder string) {
	k.Helper()
	wantClass(k, doing, err, dam.ClassConflict)
	var conflict *dam.Conflict
	if errors.As(err, &conflict) && conflict.Holder != holder {
		k.Errorf("%s: held by %q, want %q", doing, conflict.Holder, holder)
	}
}

// wantPut compares the answer of a put, the answer of Find, and what the target
// holds with what was put.
func wantPut(k *kit, r dam.Remote, obj dam.Object, body string) {
	k.Helper()
	wantRemote(k, "put returned", r, obj, body)
	wantThere(k, obj, body)
}

// wantThere compares the answer of Find and what the target holds with what was put.
func wantThere(k *kit, obj dam.Object, body string) {
	k.Helper()
	r := k.find(obj.Mark.AssetID)
	wantRemote(k, "find returned", r, obj, body)
	wantBody(k, r, body)
	wantMetadata(k, obj.Path, obj.Title, obj.Metadata)
}

func wantRemote(k *kit, where string, r dam.Remote, obj dam.Object, body string) {
	k.Helper()
	want := obj.Mark
	want.SHA256, want.Size = sum(body), int64(len(body))
	if r.State != dam.Present || r.Path != obj.Path || r.Mark != want {
		k.Errorf("%s %s at %q with %+v; want present at %q with %+v", where, r.State, r.Path, r.Mark, obj.Path, want)
	}
	wantHash(k, where, r, body)
	if len(r.Ref) > 1024 {
		k.Errorf("%s a ref of %d bytes", where, len(r.Ref))
	}
}

func wantHash(k *kit, where string, r dam.Remote, body string) {
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
		k.Errorf("%s hash %q, want %q; the capabilities name %q", where, r.Hash, want, k.can.ContentHash)
	}
}

func wantState(k *kit, where string, r dam.Remote, state dam.State, generation int64) {
	k.Helper()
	forgotten := state == dam.Absent && !k.can.RemembersRemoved
	if r.State != state || r.Mark.Generation != generation && !forgotten {
		k.Errorf("%s %s of generation %d, want %s of %d", where, r.State, r.Mark.Generation, state, generation)
	}
}

// wantBody compares the bytes, read back and through the backdoor where possible.
func wantBody(k *kit, r dam.Remote, body string) {
	k.Helper()
	if k.can.ReadBack {
		if got := k.readBack(r); got != body {
			k.Errorf("read back %s, want %s", short(got), short(body))
		}
	}
	if k.target.Backdoor != nil && r.State == dam.Present {
		wantBytes(k, r.Path, body)
	}
}

// wantBytes compares the bytes through the backdoor, if there is one.
func wantBytes(k *kit, path, body string) {
	k.Helper()
	if k.target.Backdoor == nil {
		return
	}
	seen, err := k.target.Backdoor.Look(k.ctx, path)
	if err != nil || !bytes.Equal(seen.Body, []byte(body)) {
		k.Errorf("at %q is %s, want %s; error: %v", path, short(string(seen.Body)), short(body), err)
	}
}

func wantNothingAt(k *kit, path string) {
	k.Helper()
	if k.target.Backdoor == nil {
		return
	}
	if _, err := k.target.Backdoor.Look(k.ctx, path); !errors.Is(err, fs.ErrNotExist) {
		k.Errorf("at %q there is something, want nothing; error: %v", path, err)
	}
}

// wantCount counts all objects in the place, ours and foreign.
func wantCount(k *kit, n int) {
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

// wantNoWrite repeats a call that has nothing left to do.
func wantNoWrite(k *kit, again func() (dam.Remote, error), first dam.Remote) {
	k.Helper()
	var r dam.Remote
	var err error
	steps, counted := k.steps(func() { r, err = again() })
	if err != nil {
		k.Fatalf("repeated call: %v", err)
	}
	if !alike(r, first) {
		k.Errorf("the repeated call returned %+v, the first one %+v", r, first)
	}
	if counted && steps != 0 {
		k.Errorf("the repeated call changed the target in %d steps", steps)
	}
	if now := k.find(first.Mark.AssetID); first.Mark.AssetID != "" && !alike(now, first) {
		k.Errorf("after the repeated call find returned %+v, the first call %+v", now, first)
	}
}

// alike reports whether two answers describe the same, unchanged object. Token and
// hash are compared when both have them.
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
