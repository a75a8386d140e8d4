package dam

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		a := Pace(f, 10)
		for range 40 {
			if err := a.Check(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		if took := f.times[39].Sub(f.times[0]); took < 2900*time.Millisecond || took > 3100*time.Millisecond {
			t.Errorf("40 calls at 10 a second took %s", took)
		}
	})
}

// One throttled call pauses all calls and halves the rate; successes restore it.
func TestPaceSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{errs: []error{&Throttled{RetryAfter: 5 * time.Second}}}
		a := Pace(f, 10)
		err := a.Check(t.Context(), false)
		if Classify(err) != ClassThrottled {
			t.Fatal(err)
		}
		for range 80 {
			if err := a.Check(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		if waited := f.times[1].Sub(f.times[0]); waited < 5*time.Second {
			t.Errorf("waited %s, the target asked for 5s", waited)
		}
		gap := func(i int) time.Duration { return f.times[i+1].Sub(f.times[i]) }
		if early, late := gap(12), gap(78); early <= late || late > 110*time.Millisecond {
			t.Errorf("%s between calls at first, %s in the end", early, late)
		}
	})
}

func TestPaceSlowsOnlyItsOwnTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, other := &fake{errs: []error{&Throttled{}}}, &fake{}
		a, b := Pace(slow, 0), Pace(other, 0)
		_ = a.Check(t.Context(), false)
		start := time.Now()
		if err := b.Check(t.Context(), false); err != nil || time.Since(start) != 0 {
			t.Errorf("the other target: %v after %s", err, time.Since(start))
		}
		if err := a.Check(t.Context(), false); err != nil || time.Since(start) < firstPause {
			t.Errorf("the throttled one: %v after %s", err, time.Since(start))
		}
	})
}

// Calls in flight together are throttled together; that counts as one refusal.
func TestPaceCountsConcurrentRefusalsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{errs: slices.Repeat([]error{&Throttled{}}, 16)}
		f.put = func(Object) { time.Sleep(time.Second) } // all are in flight by then
		a := Pace(f, 64)
		var calls sync.WaitGroup
		for range 16 {
			calls.Go(func() { _, _ = a.Put(t.Context(), Object{}, Remote{}) })
		}
		calls.Wait()
		start := time.Now()
		if err := a.Check(t.Context(), false); err != nil || time.Since(start) != firstPause {
			t.Errorf("%v after a pause of %s, want %s", err, time.Since(start), firstPause)
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := Pace(&fake{errs: []error{&Throttled{RetryAfter: 9 * time.Second}}}, 1)
		_ = a.Check(t.Context(), false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Check(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// A target that throttles for a long time, or again and again, does not block a
// call for long: the error says how long to wait, and the core releases the work.
func TestThrottlingDoesNotBlockCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{errs: []error{&Throttled{RetryAfter: time.Hour}}}
		a := Retry(Pace(f, 0))
		for range 2 {
			start := time.Now()
			err := a.Check(t.Context(), false)
			var throttled *Throttled
			if !errors.As(err, &throttled) || throttled.RetryAfter != time.Hour || time.Since(start) != 0 {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		}
		if len(f.times) != 1 {
			t.Errorf("%d calls while the target wants none", len(f.times))
		}
		f = &fake{errs: slices.Repeat([]error{&Throttled{}}, 99)}
		a = Retry(Pace(f, 0))
		for range 20 {
			start := time.Now()
			if err := a.Check(t.Context(), false); Classify(err) != ClassThrottled || time.Since(start) > 2*longestWait {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		}
	})
}
