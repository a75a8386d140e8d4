package damtest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"damsync/dam"
)

func generationCases() []testCase {
	return []testCase{
		{"a lower generation changes nothing", staleGeneration},
		{"a lower generation after a removal is stale", staleAfterRemoval},
		{"a late create is stale", lateWorker},
		{"a late replacement is stale", lateWorkerReplacing},
		{"a late put at another path is stale", lateWorkerElsewhere},
		{"a late put after a removal is stale", lateWorkerAfterRemoval},
		{"the highest generation wins a race", workersRacing},
		{"the highest generation wins a race across paths", workersRacingElsewhere},
	}
}

func staleGeneration(k *kit) {
	obj := k.object("A", "a.png", "five", 5)
	r := k.put(obj, dam.Remote{})
	late := k.open(k.instance)
	_, err := late.Put(k.ctx, k.object("A", "b.png", "four", 4), r)
	wantClass(k, "put of a lower generation", err, dam.ClassStale)
	if k.can.MetadataWithoutBytes {
		_, err = late.SetMetadata(k.ctx, r, k.mark("A", 4), "late", nil)
		wantClass(k, "set metadata of a lower generation", err, dam.ClassStale)
	}
	if k.can.ServerSideMove {
		_, err = late.Move(k.ctx, r, k.mark("A", 4), "b.png")
		wantClass(k, "move of a lower generation", err, dam.ClassStale)
	}
	for _, mode := range k.can.Retire {
		_, err = late.Retire(k.ctx, r, k.mark("A", 4), mode)
		wantClass(k, string(mode)+" of a lower generation", err, dam.ClassStale)
	}
	wantThere(k, obj, "five")
	wantCount(k, 1)
}

func staleAfterRemoval(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of removed objects")
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	k.retire(r, "A", 3, dam.RetireDelete)
	_, err := k.open(k.instance).Put(k.ctx, k.object("A", "a.png", "two", 2), r)
	wantClass(k, "put of a lower generation after removal", err, dam.ClassStale)
	wantState(k, "find returned", k.find("A"), dam.Absent, 3)
	wantCount(k, 0)
}

// interrupted returns an Object.Open of body that calls meanwhile after half of it.
func interrupted(body string, meanwhile func()) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		half := len(body) / 2
		then := readerFunc(func([]byte) (int, error) {
			meanwhile()
			return 0, io.EOF
		})
		r := io.MultiReader(strings.NewReader(body[:half]), then, strings.NewReader(body[half:]))
		return dam.NewSource(r, int64(len(body)), ""), nil
	}
}

// overtaken puts generation 2 at path. In the middle of its body another worker does
// meanwhile.
func overtaken(k *kit, path string, current dam.Remote, meanwhile func(dam.Adapter)) {
	k.Helper()
	k.needs(k.can.ConditionalReplace, "conditional replaces")
	other := k.open(k.instance)
	obj := k.object("A", path, "late", 2)
	obj.Open = interrupted("late", func() { meanwhile(other) })
	_, err := k.a.Put(k.ctx, obj, current)
	wantClass(k, "put of the late worker", err, dam.ClassStale)
}

func lateWorker(k *kit) {
	outrun(k, dam.Remote{})
}

func lateWorkerReplacing(k *kit) {
	outrun(k, k.put(k.object("A", "a.png", "old", 1), dam.Remote{}))
}

// outrun puts the next version while the late one is being uploaded.
func outrun(k *kit, current dam.Remote) {
	k.Helper()
	next := k.object("A", "a.png", "next", 3)
	overtaken(k, "a.png", current, func(other dam.Adapter) {
		if _, err := other.Put(k.ctx, next, current); err != nil {
			k.Errorf("put of the next worker: %v", err)
		}
	})
	wantThere(k, next, "next")
	wantCount(k, 1)
}

func lateWorkerElsewhere(k *kit) {
	r := k.put(k.object("A", "a.png", "old", 1), dam.Remote{})
	next := k.object("A", "b.png", "next", 3)
	overtaken(k, "c.png", r, func(other dam.Adapter) {
		if _, err := other.Put(k.ctx, next, r); err != nil {
			k.Errorf("put of the next worker: %v", err)
		}
	})
	wantThere(k, next, "next")
	wantCount(k, 1)
}

func lateWorkerAfterRemoval(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of removed objects")
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "old", 1), dam.Remote{})
	overtaken(k, "a.png", r, func(other dam.Adapter) {
		if _, err := other.Retire(k.ctx, r, k.mark("A", 3), dam.RetireDelete); err != nil {
			k.Errorf("retire by the next worker: %v", err)
		}
	})
	wantState(k, "find returned", k.find("A"), dam.Absent, 3)
	wantCount(k, 0)
}

// workersRacing has all workers put at the same path.
func workersRacing(k *kit) {
	race(k, func(int) string { return "dir/a.png" })
}

// workersRacingElsewhere has workers put at paths that other workers do not know. A
// target that decides each path by itself cannot promise an order there: a late worker
// reaches a path that the next one has already left.
func workersRacingElsewhere(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of removed objects")
	race(k, func(i int) string { return fmt.Sprintf("dir/%d.png", i%2) })
}

// race has workers put one asset concurrently, each at its path. The last one, with
// the highest generation, starts while another is in the middle of its body.
func race(k *kit, path func(i int) string) {
	k.Helper()
	k.needs(k.can.ConditionalReplace, "conditional replaces")
	const n = 6
	objects := make([]dam.Object, n)
	for i := range objects {
		objects[i] = k.object("A", path(i), fmt.Sprint("body ", i), int64(i+1))
	}
	begun, decided := newSignal(), newSignal()
	var workers errgroup.Group
	for i, obj := range objects {
		a, last := k.open(k.instance), i == n-1
		if !last {
			obj.Open = interrupted(fmt.Sprint("body ", i), func() {
				begun.give()
				decided.wait(k.ctx)
			})
		}
		workers.Go(func() error {
			defer begun.give() // also when it is rejected
			if last {
				begun.wait(k.ctx)
				defer decided.give()
			}
			err := putUntilDone(k, a, obj)
			if class := dam.Classify(err); err != nil && (class != dam.ClassStale || last) {
				return fmt.Errorf("put of generation %d: %w", obj.Mark.Generation, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		k.Errorf("%v", err)
	}
	wantThere(k, objects[n-1], fmt.Sprint("body ", n-1))
	wantCount(k, 1)
}

// signal may be given several times and be awaited by any number of goroutines.
type signal struct {
	given chan struct{}
	once  *sync.Once
}

func newSignal() signal { return signal{given: make(chan struct{}), once: &sync.Once{}} }

func (s signal) give() { s.once.Do(func() { close(s.given) }) }

func (s signal) wait(ctx context.Context) {
	select {
	case <-s.given:
	case <-ctx.Done():
	}
}

// putUntilDone finds and puts, and repeats that when it lost a race or the put failed,
// as the core does with an open intent.
func putUntilDone(k *kit, a dam.Adapter, obj dam.Object) error {
	for range 10 {
		current, err := a.Find(k.ctx, obj.Mark.Key(), k.made[obj.Mark.Key()])
		if err != nil {
			return err
		}
		_, err = a.Put(k.ctx, obj, current)
		if class := dam.Classify(err); class != dam.ClassTemporary && class != dam.ClassUnknown {
			return err
		}
	}
	return fmt.Errorf("not done after ten attempts: %w", dam.ErrTemporary)
}
