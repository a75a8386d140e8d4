package damtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"damsync/dam"
)

// maxSteps limits the steps of one call at which the suite crashes it.
const maxSteps = 100

var errKilled = errors.New("killed")

// countdown passes n-1 steps.
type countdown struct {
	mu   sync.Mutex
	left int
}

func newCountdown(n int) *countdown { return &countdown{left: n} }

// fail fails the nth step alone.
func (c *countdown) fail(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		return errBroken
	}
	return nil
}

// kill fails the nth step and all later ones, as when the process dies there.
func (c *countdown) kill(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left <= 0 {
		return errKilled
	}
	return nil
}

func (c *countdown) reached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left <= 0
}

func label(id string, n int) string { return fmt.Sprintf("%s-%02d", id, n) }

// operation is a call that crashes at each of its steps.
type operation struct {
	name  string
	needs func(*kit) bool
	setUp func(k *kit, id string) dam.Remote
	do    call
	state dam.State
	path  string // below a directory named after the asset
	body  string

	foreign bool // the object before the call is foreign
}

func crashCases() []testCase {
	var out []testCase
	for _, op := range operations() {
		out = append(out, testCase{op.name + " survives a crash at each step", op.crash})
	}
	return out
}

// crash kills the operation at its first step, at its second, and so on. Each time
// another process finds and repeats the call, as the core does.
func (op operation) crash(k *kit) {
	k.needs(op.needs(k), "the capability")
	k.needs(k.target.OnStep != nil, "steps to crash at")
	objects := 0
	for n := 1; ; n++ {
		id := label("A", n)
		r := op.setUp(k, id)
		count := newCountdown(n)
		k.target.OnStep(count.kill)
		_, err := op.do(k, k.open(k.instance), id, r)
		k.target.OnStep(nil)
		if !count.reached() && err != nil {
			k.Fatalf("failed without a crash: %v", err)
		}
		op.recover(k, id, n)
		if op.state != dam.Absent {
			objects++
		}
		wantCount(k, objects)
		if !count.reached() || n == maxSteps || k.Failed() {
			return
		}
	}
}

// recover does what the core does with an open intent.
func (op operation) recover(k *kit, id string, n int) {
	k.Helper()
	a := k.open(k.instance)
	found := k.findBy(a, id)
	if found.State == dam.Foreign && !op.foreign {
		k.Errorf("after a crash at step %d, find returned %+v", n, found)
	}
	r, err := op.do(k, a, id, found)
	if errors.Is(err, dam.ErrNotFound) {
		// The core puts what is not whole, and continues from there.
		r, err = a.Put(k.ctx, k.object(id, id+"/a.png", "one", 2), found)
		if err == nil {
			r, err = op.do(k, a, id, r)
		}
	}
	if err != nil {
		k.Errorf("repeated after a crash at step %d: %v", n, err)
		return
	}
	now := k.findBy(k.open(k.instance), id)
	wantState(k, fmt.Sprintf("after a crash at step %d, find finally returned", n), now, op.state, 2)
	if !alike(r, now) && op.state != dam.Absent {
		k.Errorf("after a crash at step %d, the call returned %+v, find %+v", n, r, now)
	}
	if op.state == dam.Present && now.Path != id+"/"+op.path {
		k.Errorf("after a crash at step %d, the object is at %q, want %q", n, now.Path, op.path)
	}
	if op.state != dam.Absent {
		wantBody(k, now, op.body)
	}
}

func operations() []operation {
	return []operation{
		{name: "create", needs: always, setUp: noObject, do: putAt("a.png"), state: dam.Present, path: "a.png", body: "two"},
		{name: "replace", needs: always, setUp: oneObject, do: putAt("a.png"), state: dam.Present, path: "a.png", body: "two"},
		{name: "replace elsewhere", needs: always, setUp: oneObject, do: putAt("b.png"), state: dam.Present, path: "b.png", body: "two"},
		{name: "adopt", needs: adopts, setUp: foreignObject, do: adopt, state: dam.Present, path: "a.png", body: "two", foreign: true},
		{name: "set metadata", needs: setsMetadata, setUp: oneObject, do: setMetadata, state: dam.Present, path: "a.png", body: "one"},
		{name: "move", needs: canMove, setUp: oneObject, do: moveTo("b.png"), state: dam.Present, path: "b.png", body: "one"},
		{name: "delete", needs: hasMode(dam.RetireDelete), setUp: oneObject, do: retireBy(dam.RetireDelete), state: dam.Absent},
		{name: "archive", needs: hasMode(dam.RetireArchive), setUp: oneObject, do: retireBy(dam.RetireArchive), state: dam.Archived, body: "one"},
		{
			name: "delete from the archive", needs: all(hasMode(dam.RetireArchive), hasMode(dam.RetireDelete)),
			setUp: archivedObject, do: retireBy(dam.RetireDelete), state: dam.Absent,
		},
		{
			name: "move out of the archive", needs: all(hasMode(dam.RetireArchive), canMove),
			setUp: archivedObject, do: moveTo("a.png"), state: dam.Present, path: "a.png", body: "one",
		},
		{
			name: "put out of the archive", needs: hasMode(dam.RetireArchive),
			setUp: archivedObject, do: putAt("a.png"), state: dam.Present, path: "a.png", body: "two",
		},
	}
}

func always(*kit) bool         { return true }
func canMove(k *kit) bool      { return k.can.ServerSideMove }
func setsMetadata(k *kit) bool { return k.can.MetadataWithoutBytes }
func adopts(k *kit) bool       { return k.can.UniquePaths && k.target.Backdoor != nil }

func hasMode(m dam.RetireMode) func(*kit) bool {
	return func(k *kit) bool { return slices.Contains(k.can.Retire, m) }
}

func all(a, b func(*kit) bool) func(*kit) bool {
	return func(k *kit) bool { return a(k) && b(k) }
}

// call makes one call on asset id, at generation 2.
type call func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error)

// putAt puts the content "two".
func putAt(path string) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		return a.Put(k.ctx, k.object(id, id+"/"+path, "two", 2), r)
	}
}

func adopt(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
	obj := k.object(id, id+"/a.png", "two", 2)
	obj.Adopt = true
	return a.Put(k.ctx, obj, r)
}

func moveTo(path string) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		k.made[k.key(id)] = append([]string{id + "/" + path}, k.made[k.key(id)]...)
		return a.Move(k.ctx, r, k.mark(id, 2), id+"/"+path)
	}
}

func retireBy(m dam.RetireMode) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		return a.Retire(k.ctx, r, k.mark(id, 2), m)
	}
}

func setMetadata(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
	return a.SetMetadata(k.ctx, r, k.mark(id, 2), "Another", dam.Metadata{"alt": "new"})
}

func noObject(*kit, string) dam.Remote { return dam.Remote{State: dam.Absent} }

func oneObject(k *kit, id string) dam.Remote {
	return k.put(k.object(id, id+"/a.png", "one", 1), dam.Remote{})
}

func archivedObject(k *kit, id string) dam.Remote {
	return k.retire(oneObject(k, id), id, 1, dam.RetireArchive)
}

func foreignObject(k *kit, id string) dam.Remote {
	k.write(id+"/a.png", "two")
	return dam.Remote{State: dam.Absent}
}
