package damtest

import (
	"math"
	"time"

	"damsync/dam"
)

func troubleCases() []testCase {
	return []testCase{
		{"throttled", throttled},
		{"failing", failing},
		{"failing for a moment", failingForAMoment},
	}
}

// stormLimit is how long an adapter may try by itself before it answers.
const stormLimit = 30 * time.Second

// storm makes every call meet the refusal and holds the classes against it.
func (k *kit) storm(how Refusal, classes ...dam.Class) {
	k.Helper()
	k.needs(k.target.Refuse != nil, "a target that can be made to refuse")
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	k.target.Refuse(how, math.MaxInt)
	for doing, call := range k.calls(k.ctx, r) {
		start := time.Now()
		k.wantClass(doing+" in a storm", call(), classes...)
		if took := time.Since(start); took > stormLimit {
			k.Errorf("%s in a storm took %s", doing, took)
		}
	}
	if err := k.a.Check(k.ctx, true); err == nil {
		k.Errorf("check passes in a storm")
	}
	k.target.Refuse(how, 0)
	if err := k.a.Check(k.ctx, true); err != nil {
		k.Errorf("check after the storm: %v", err)
	}
	k.wantThere(obj, "one")
	next := k.object("A", "a.png", "two", 2)
	k.wantPut(k.put(next, k.find("A")), next, "two")
	k.wantCount(1)
}

func throttled(k *kit) { k.storm(Throttling, dam.ClassThrottled) }

func failing(k *kit) {
	k.storm(ServerError, dam.ClassTemporary, dam.ClassUnavailable, dam.ClassUnknown)
}

// failingForAMoment: one step fails, each in turn, and the process lives on; the
// core looks and repeats the call.
func failingForAMoment(k *kit) {
	k.needs(k.target.OnStep != nil, "steps that can fail")
	for n := 1; n < maxSteps; n++ {
		id := label("A", n)
		r := k.put(k.object(id, id+"/a.png", "one", 1), dam.Remote{})
		next := k.object(id, id+"/b.png", "two", 2)
		count := newCountdown(n)
		k.target.OnStep(count.fail)
		_, err := k.a.Put(k.ctx, next, r)
		k.target.OnStep(nil)
		if err != nil {
			k.wantClass("put", err, dam.ClassTemporary, dam.ClassUnavailable, dam.ClassUnknown)
			err = k.persist(k.a, next)
		}
		if err != nil {
			k.Errorf("put after a failure at step %d: %v", n, err)
		}
		k.wantThere(next, "two")
		k.wantCount(n)
		if !count.reached() || k.Failed() {
			return
		}
	}
}
