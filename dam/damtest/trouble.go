package damtest

import (
	"math"
	"time"

	"damsync/dam"
)

func troubleCases() []testCase {
	return []testCase{
		{"throttling is reported as such", throttled},
		{"a failing target is not taken for an empty one", failing},
		{"a failure at each step is recovered", failingForAMoment},
	}
}

// stormLimit limits how long an adapter may repeat a call by itself.
const stormLimit = 30 * time.Second

// storm makes each call fail at the target and checks the class of its error.
func storm(k *kit, how Refusal, classes ...dam.Class) {
	k.Helper()
	k.needs(k.target.Refuse != nil, "a target that can be made to refuse")
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	k.target.Refuse(how, math.MaxInt)
	for doing, call := range everyCall(k.ctx, k, r) {
		start := time.Now()
		wantClass(k, doing+" in a storm", call(), classes...)
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
	wantThere(k, obj, "one")
	next := k.object("A", "a.png", "two", 2)
	wantPut(k, k.put(next, k.find("A")), next, "two")
	wantCount(k, 1)
}

func throttled(k *kit) { storm(k, Throttling, dam.ClassThrottled) }

func failing(k *kit) {
	storm(k, ServerError, dam.ClassTemporary, dam.ClassUnavailable, dam.ClassUnknown)
}

// failingForAMoment fails one step, each in turn. The process survives, and the core
// finds and repeats the call.
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
			wantClass(k, "put", err, dam.ClassTemporary, dam.ClassUnavailable, dam.ClassUnknown)
			err = putUntilDone(k, k.a, next)
		}
		if err != nil {
			k.Errorf("put after a failure at step %d: %v", n, err)
		}
		wantThere(k, next, "two")
		wantCount(k, n)
		if !count.reached() || k.Failed() {
			return
		}
	}
}
