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
		{"lower changes nothing", staleGeneration},
		{"lower after removal", staleAfterRemoval},
		{"late worker", lateWorker},
		{"late worker replacing", lateWorkerReplacing},
		{"late worker at a new place", lateWorkerElsewhere},
		{"late worker after removal", lateWorkerAfterRemoval},
		{"workers racing", workersRacing},
		{"workers racing to other places", workersRacingElsewhere},
	}
}

func staleGeneration(k *kit) {
	obj := k.object("A", "a.png", "five", 5)
	r := k.put(obj, dam.Remote{})
	late := k.open(k.instance)
	_, err := late.Put(k.ctx, k.object("A", "b.png", "four", 4), r)
	k.wantClass("put of a lower generation", err, dam.ClassStale)
	if k.can.MetadataWithoutBytes {
		_, err = late.SetMetadata(k.ctx, r, k.mark("A", 4), "late", nil)
		k.wantClass("set metadata of a lower generation", err, dam.ClassStale)
	}
	if k.can.ServerSideMove {
		_, err = late.Move(k.ctx, r, k.mark("A", 4), "b.png")
		k.wantClass("move of a lower generation", err, dam.ClassStale)
	}
	for _, mode := range k.can.Retire {
		_, err = late.Retire(k.ctx, r, k.mark("A", 4), mode)
		k.wantClass(string(mode)+" of a lower generation", err, dam.ClassStale)
	}
	k.wantThere(obj, "five")
	k.wantCount(1)
}

func staleAfterRemoval(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of what was removed")
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	k.retire(r, "A", 3, dam.RetireDelete)
	_, err := k.open(k.instance).Put(k.ctx, k.object("A", "a.png", "two", 2), r)
	k.wantClass("put of a lower generation after removal", err, dam.ClassStale)
	k.wantState("find gives", k.find("A"), dam.Absent, 3)
	k.wantCount(0)
}

// interrupted opens body so that meanwhile runs when half of it was read.
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

// overtaken puts generation 2 at path, while another worker does meanwhile.
func (k *kit) overtaken(path string, current dam.Remote, meanwhile func(dam.Adapter)) {
	k.Helper()
	k.needs(k.can.ConditionalReplace, "conditional replacing")
	other := k.open(k.instance)
	obj := k.object("A", path, "late", 2)
	obj.Open = interrupted("late", func() { meanwhile(other) })
	_, err := k.a.Put(k.ctx, obj, current)
	k.wantClass("put of the late worker", err, dam.ClassStale)
}

func lateWorker(k *kit) {
	k.outrun(dam.Remote{})
}

func lateWorkerReplacing(k *kit) {
	k.outrun(k.put(k.object("A", "a.png", "old", 1), dam.Remote{}))
}

// outrun lets the next version be put while the late one is on its way.
func (k *kit) outrun(current dam.Remote) {
	k.Helper()
	next := k.object("A", "a.png", "next", 3)
	k.overtaken("a.png", current, func(other dam.Adapter) {
		if _, err := other.Put(k.ctx, next, current); err != nil {
			k.Errorf("put of the next worker: %v", err)
		}
	})
	k.wantThere(next, "next")
	k.wantCount(1)
}

func lateWorkerElsewhere(k *kit) {
	r := k.put(k.object("A", "a.png", "old", 1), dam.Remote{})
	next := k.object("A", "b.png", "next", 3)
	k.overtaken("c.png", r, func(other dam.Adapter) {
		if _, err := other.Put(k.ctx, next, r); err != nil {
			k.Errorf("put of the next worker: %v", err)
		}
	})
	k.wantThere(next, "next")
	k.wantCount(1)
}

func lateWorkerAfterRemoval(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of what was removed")
	k.needsMode(dam.RetireDelete)
	r := k.put(k.object("A", "a.png", "old", 1), dam.Remote{})
	k.overtaken("a.png", r, func(other dam.Adapter) {
		if _, err := other.Retire(k.ctx, r, k.mark("A", 3), dam.RetireDelete); err != nil {
			k.Errorf("retire by the next worker: %v", err)
		}
	})
	k.wantState("find gives", k.find("A"), dam.Absent, 3)
	k.wantCount(0)
}

// workersRacing: whoever comes when, the highest generation stays.
func workersRacing(k *kit) {
	k.race(func(int) string { return "dir/a.png" })
}

// workersRacingElsewhere: also where one worker knows nothing of the place that
// another writes to. A target that decides each place by itself cannot promise it: a
// late worker comes to a place from which the next one has moved away.
func workersRacingElsewhere(k *kit) {
	k.needs(k.can.RemembersRemoved, "a memory of what was removed")
	k.race(func(i int) string { return fmt.Sprintf("dir/%d.png", i%2) })
}

// race lets workers put one asset side by side, each at its path. The last and
// highest generation comes while another is in the middle of its body.
func (k *kit) race(path func(i int) string) {
	k.Helper()
	k.needs(k.can.ConditionalReplace, "conditional replacing")
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
			defer begun.give() // who is turned away has begun, too
			if last {
				begun.wait(k.ctx)
				defer decided.give()
			}
			err := k.persist(a, obj)
			if class := dam.Classify(err); err != nil && (class != dam.ClassStale || last) {
				return fmt.Errorf("put of generation %d: %w", obj.Mark.Generation, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		k.Errorf("%v", err)
	}
	k.wantThere(objects[n-1], fmt.Sprint("body ", n-1))
	k.wantCount(1)
}

// signal is given once or more, and waited for by any number.
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

// persist looks and puts, and does so again when it lost a race or the put
// failed, as the core does about an open intent.
func (k *kit) persist(a dam.Adapter, obj dam.Object) error {
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
	return fmt.Errorf("no rest after ten attempts: %w", dam.ErrTemporary)
}
