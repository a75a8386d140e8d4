package damtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"damsync/dam"
)

// maxSteps bounds the steps of one call that are tried to crash at.
const maxSteps = 100

var errKilled = errors.New("killed")

// countdown lets n-1 steps pass.
type countdown struct {
	mu   sync.Mutex
	left int
}

func newCountdown(n int) *countdown { return &countdown{left: n} }

// fail is for a single step that fails.
func (c *countdown) fail(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		return errBroken
	}
	return nil
}

// kill is for a process that dies at the nth step: nothing after it
// happens either.
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

// operation is a call that is killed at each of its steps.
type operation struct {
	name  string
	needs func(*kit) bool
	setUp func(k *kit, id string) dam.Remote
	do    call
	state dam.State
	path  string // below a directory named by the asset
	body  string

	foreign bool // what is there before is
}

func crashCases() []testCase {
	var out []testCase
	for _, op := range operations() {
		out = append(out, testCase{op.name + ", killed at each step", op.crash})
	}
	return out
}

// crash kills the operation at its first step, its second, and so on; each time
// another process looks and repeats the call, as the core does.
func (op operation) crash(k *kit) {
	k.needs(op.needs(k), "the capability")
	k.needs(k.target.OnStep != nil, "steps to be killed at")
	objects := 0
	for n := 1; ; n++ {
		id := label("A", n)
		r := op.setUp(k, id)
		count := newCountdown(n)
		k.target.OnStep(count.kill)
		_, err := op.do(k, k.open(k.instance), id, r)
		k.target.OnStep(nil)
		if !count.reached() && err != nil {
			k.Fatalf("not killed, and yet: %v", err)
		}
		op.recover(k, id, n)
		if op.state != dam.Absent {
			objects++
		}
		k.wantCount(objects)
		if !count.reached() || n == maxSteps || k.Failed() {
			return
		}
	}
}

// recover is what the core does about an open intent.
func (op operation) recover(k *kit, id string, n int) {
	k.Helper()
	a := k.open(k.instance)
	found := k.findBy(a, id)
	if found.State == dam.Foreign && !op.foreign {
		k.Errorf("killed at step %d find gives %+v", n, found)
	}
	r, err := op.do(k, a, id, found)
	if errors.Is(err, dam.ErrNotFound) {
		// The core puts what is not whole, and goes on from there.
		r, err = a.Put(k.ctx, k.object(id, id+"/a.png", "one", 2), found)
		if err == nil {
			r, err = op.do(k, a, id, r)
		}
	}
	if err != nil {
		k.Errorf("killed at step %d, then: %v", n, err)
		return
	}
	now := k.findBy(k.open(k.instance), id)
	k.wantState(fmt.Sprintf("killed at step %d, in the end find gives", n), now, op.state, 2)
	if !alike(r, now) && op.state != dam.Absent {
		k.Errorf("killed at step %d, the call answered %+v, find gives %+v", n, r, now)
	}
	if op.state == dam.Present && now.Path != id+"/"+op.path {
		k.Errorf("killed at step %d, it is at %q, want %q", n, now.Path, op.path)
	}
	if op.state != dam.Absent {
		k.wantBody(now, op.body)
	}
}

func operations() []operation {
	return []operation{
		{name: "create", needs: always, setUp: nothing, do: put("a.png"), state: dam.Present, path: "a.png", body: "two"},
		{name: "replace", needs: always, setUp: there, do: put("a.png"), state: dam.Present, path: "a.png", body: "two"},
		{name: "replace elsewhere", needs: always, setUp: there, do: put("b.png"), state: dam.Present, path: "b.png", body: "two"},
		{name: "adopt", needs: adopts, setUp: foreign, do: adopt, state: dam.Present, path: "a.png", body: "two", foreign: true},
		{name: "set metadata", needs: setsMetadata, setUp: there, do: setMetadata, state: dam.Present, path: "a.png", body: "one"},
		{name: "move", needs: canMove, setUp: there, do: move("b.png"), state: dam.Present, path: "b.png", body: "one"},
		{name: "delete", needs: mode(dam.RetireDelete), setUp: there, do: retire(dam.RetireDelete), state: dam.Absent},
		{name: "archive", needs: mode(dam.RetireArchive), setUp: there, do: retire(dam.RetireArchive), state: dam.Archived, body: "one"},
		{
			name: "delete from the archive", needs: all(mode(dam.RetireArchive), mode(dam.RetireDelete)),
			setUp: away, do: retire(dam.RetireDelete), state: dam.Absent,
		},
		{
			name: "move out of the archive", needs: all(mode(dam.RetireArchive), canMove),
			setUp: away, do: move("a.png"), state: dam.Present, path: "a.png", body: "one",
		},
		{
			name: "put out of the archive", needs: mode(dam.RetireArchive),
			setUp: away, do: put("a.png"), state: dam.Present, path: "a.png", body: "two",
		},
	}
}

func always(*kit) bool         { return true }
func canMove(k *kit) bool      { return k.can.ServerSideMove }
func setsMetadata(k *kit) bool { return k.can.MetadataWithoutBytes }
func adopts(k *kit) bool       { return k.can.UniquePaths && k.target.Backdoor != nil }

func mode(m dam.RetireMode) func(*kit) bool {
	return func(k *kit) bool { return slices.Contains(k.can.Retire, m) }
}

func all(a, b func(*kit) bool) func(*kit) bool {
	return func(k *kit) bool { return a(k) && b(k) }
}

// call is one call on asset id at generation 2.
type call func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error)

// put puts the content "two".
func put(path string) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		return a.Put(k.ctx, k.object(id, id+"/"+path, "two", 2), r)
	}
}

func adopt(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
	obj := k.object(id, id+"/a.png", "two", 2)
	obj.Adopt = true
	return a.Put(k.ctx, obj, r)
}

func move(path string) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		k.made[k.key(id)] = append([]string{id + "/" + path}, k.made[k.key(id)]...)
		return a.Move(k.ctx, r, k.mark(id, 2), id+"/"+path)
	}
}

func retire(m dam.RetireMode) call {
	return func(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
		return a.Retire(k.ctx, r, k.mark(id, 2), m)
	}
}

func setMetadata(k *kit, a dam.Adapter, id string, r dam.Remote) (dam.Remote, error) {
	return a.SetMetadata(k.ctx, r, k.mark(id, 2), "Another", dam.Metadata{"alt": "new"})
}

func nothing(*kit, string) dam.Remote { return dam.Remote{State: dam.Absent} }

func there(k *kit, id string) dam.Remote {
	return k.put(k.object(id, id+"/a.png", "one", 1), dam.Remote{})
}

func away(k *kit, id string) dam.Remote {
	return k.retire(there(k, id), id, 1, dam.RetireArchive)
}

func foreign(k *kit, id string) dam.Remote {
	k.write(id+"/a.png", "two")
	return dam.Remote{State: dam.Absent}
}
