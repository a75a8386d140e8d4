package dam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flaky fails with the errors it is given, in turn, and then succeeds.
type flaky struct {
	recorder
	mu     sync.Mutex
	errs   []error
	put    func(Object)
	listed []Remote
	times  []time.Time
}

func (f *flaky) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times = append(f.times, time.Now())
	if len(f.errs) == 0 {
		return nil
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return err
}

func (f *flaky) Describe() Capabilities { return Capabilities{ReadBack: true} }

func (f *flaky) Check(context.Context, bool) error { return f.next() }

func (f *flaky) Find(context.Context, Key, []string) (Remote, error) {
	return Remote{Path: "found"}, f.next()
}

func (f *flaky) Put(_ context.Context, obj Object, _ Remote) (Remote, error) {
	if f.put != nil {
		f.put(obj)
	}
	return Remote{Path: obj.Path}, f.next()
}

func (f *flaky) List(context.Context) iter.Seq2[Remote, error] {
	return func(yield func(Remote, error) bool) {
		for _, r := range f.listed {
			if !yield(r, nil) {
				return
			}
		}
		if err := f.next(); err != nil {
			yield(Remote{}, err)
		}
	}
}

func (f *flaky) ReadBack(context.Context, Remote) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("bytes")), f.next()
}

func wrapped(err error) error { return fmt.Errorf("put asset: %w", err) }

func TestRetryRepeatsWhatMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		errs  []error
		calls int
		class Class
	}{
		"success":              {nil, 1, ClassNone},
		"temporary":            {[]error{ErrTemporary, ErrTemporary}, 3, ClassNone},
		"temporary for long":   {slices.Repeat([]error{ErrTemporary}, 9), retryTries, ClassTemporary},
		"throttled":            {[]error{&Throttled{}, &Throttled{RetryAfter: time.Second}}, 3, ClassNone},
		"throttled for long":   {[]error{&Throttled{RetryAfter: time.Hour}}, 1, ClassThrottled},
		"unknown":              {[]error{errors.New("no answer")}, 1, ClassUnknown},
		"source":               {[]error{fmt.Errorf("%w: %w", ErrSource, ErrTemporary)}, 1, ClassSource},
		"unavailable":          {[]error{ErrFull}, 1, ClassUnavailable},
		"temporary, then auth": {[]error{ErrTemporary, ErrAuth}, 2, ClassAuth},
		"auth at the last try": {[]error{ErrTemporary, ErrTemporary, ErrTemporary, ErrAuth}, 4, ClassAuth},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{}
				for _, err := range c.errs {
					f.errs = append(f.errs, wrapped(err))
				}
				r, err := Retry(f).Put(t.Context(), Object{Path: "a"}, Remote{})
				if Classify(err) != c.class || len(f.times) != c.calls {
					t.Errorf("%d calls, %v; want %d, %q", len(f.times), err, c.calls, c.class)
				}
				if err == nil && r.Path != "a" {
					t.Errorf("answered %+v", r)
				}
			})
		})
	}
}

func TestRetryWaitsAsLongAsToldAndNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{errs: []error{&Throttled{RetryAfter: 7 * time.Second}}}
		if _, err := Retry(f).Find(t.Context(), Key{}, nil); err != nil {
			t.Fatal(err)
		}
		if waited := f.times[1].Sub(f.times[0]); waited != 7*time.Second {
			t.Errorf("waited %s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.errs = []error{&Throttled{RetryAfter: 7 * time.Second}}
		err := Retry(f).Check(ctx, false)
		if !errors.Is(err, context.DeadlineExceeded) || Classify(err) != ClassThrottled {
			t.Errorf("error %v", err)
		}
	})
}

// The second attempt goes on from what the first one saved.
func TestRetryHandsTheSessionOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []byte
		var got []string
		f := &flaky{errs: []error{ErrTemporary}}
		f.put = func(obj Object) {
			got = append(got, string(obj.Upload.Session))
			session := []byte("second")
			if err := obj.Upload.Save(t.Context(), session); err != nil {
				t.Error(err)
			}
			clear(session)
		}
		upload := Upload{Session: []byte("first"), Save: func(_ context.Context, s []byte) error {
			kept = bytes.Clone(s)
			return nil
		}}
		if _, err := Retry(f).Put(t.Context(), Object{Upload: upload}, Remote{}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []string{"first", "second"}) || string(kept) != "second" {
			t.Errorf("sessions %q, kept %q", got, kept)
		}
	})
}

func TestRetryRepeatsNoListingThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{errs: []error{ErrTemporary}, listed: []Remote{{Path: "a"}, {Path: "b"}}}
		var paths []string
		var last error
		for r, err := range Retry(f).List(t.Context()) {
			paths, last = append(paths, r.Path), err
		}
		if !slices.Equal(paths, []string{"a", "b", ""}) || !errors.Is(last, ErrTemporary) {
			t.Errorf("listed %q, %v", paths, last)
		}
		f.listed, f.errs = nil, []error{ErrTemporary}
		for _, err := range Retry(f).List(t.Context()) {
			t.Errorf("an empty listing repeated gives %v", err)
		}
	})
}

func TestPaceKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{}
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

// One refusal stops all calls for its time, halves the rate, and successes win it
// back.
func TestPaceSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{errs: []error{&Throttled{RetryAfter: 5 * time.Second}}}
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
			t.Errorf("waited %s after being told 5s", waited)
		}
		gap := func(i int) time.Duration { return f.times[i+1].Sub(f.times[i]) }
		if early, late := gap(12), gap(78); early <= late || late > 110*time.Millisecond {
			t.Errorf("%s between calls at first, %s in the end", early, late)
		}
	})
}

func TestPaceSlowsOnlyItsOwnTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, other := &flaky{errs: []error{&Throttled{}}}, &flaky{}
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

// Calls that were on their way together are refused together: that is one
// refusal, not many.
func TestPaceTakesRefusalsTogetherForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{errs: slices.Repeat([]error{&Throttled{}}, 16)}
		f.put = func(Object) { time.Sleep(time.Second) } // all are under way by then
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
		a := Pace(&flaky{errs: []error{&Throttled{RetryAfter: 9 * time.Second}}}, 1)
		_ = a.Check(t.Context(), false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Check(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// A target that throttles for long, or on and on, holds nobody in a call for long:
// the core is told how long to wait, and lets go of the work.
func TestThrottlingDoesNotStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{errs: []error{&Throttled{RetryAfter: time.Hour}}}
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
		f = &flaky{errs: slices.Repeat([]error{&Throttled{}}, 99)}
		a = Retry(Pace(f, 0))
		for range 20 {
			start := time.Now()
			if err := a.Check(t.Context(), false); Classify(err) != ClassThrottled || time.Since(start) > 2*longestWait {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		}
	})
}

func TestMetricsTellsEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Call
		f := &flaky{errs: []error{nil, ErrFull, nil, nil}, put: func(Object) { time.Sleep(time.Second) }}
		a := Metrics(f, func(c Call) { calls = append(calls, c) })
		_ = a.Check(t.Context(), false)
		_, _ = a.Put(t.Context(), Object{}, Remote{})
		for _, err := range a.List(t.Context()) {
			t.Error(err)
		}
		body, err := ReadBack(t.Context(), a, Remote{})
		if err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
		_, _ = a.Move(t.Context(), Remote{}, Mark{}, "b")
		_, _ = a.SetMetadata(t.Context(), Remote{}, Mark{}, "t", nil)
		_, _ = a.Retire(t.Context(), Remote{}, Mark{}, RetireDelete)
		_, _ = a.Find(t.Context(), Key{}, nil)
		want := []Call{
			{Op: OpCheck},
			{Op: OpPut, Class: ClassUnavailable, Took: time.Second},
			{Op: OpList},
			{Op: OpReadBack},
			{Op: OpMove},
			{Op: OpSetMetadata},
			{Op: OpRetire},
			{Op: OpFind},
		}
		if !slices.Equal(calls, want) {
			t.Errorf("told %+v, want %+v", calls, want)
		}
	})
}

func TestReadBackNeedsTheCapability(t *testing.T) {
	if _, err := ReadBack(t.Context(), &recorder{}, Remote{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if _, err := ReadBack(t.Context(), Retry(&recorder{}), Remote{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("through decorators: %v", err)
	}
}

func TestDeniedNamesEachNeed(t *testing.T) {
	cause := errors.New("403 AccessDenied")
	err := fmt.Errorf("check target: %w", errors.Join(
		&Denied{Need: NeedList, Advice: "allow s3:ListBucket", Err: cause},
		&Denied{Need: NeedTag, Advice: "allow s3:PutObjectTagging or leave out tags"},
	))
	if Classify(err) != ClassAuth || !errors.Is(err, cause) {
		t.Errorf("class %q of %v", Classify(err), err)
	}
	for _, want := range []string{"permission to list", "s3:ListBucket", "permission to tag", "403 AccessDenied"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
