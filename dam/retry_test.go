package dam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryRepeatsTemporaryFailures(t *testing.T) {
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
				f := &fake{}
				for _, err := range c.errs {
					f.errs = append(f.errs, fmt.Errorf("put asset: %w", err))
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

func TestRetryWaitsAsLongAsRequestedWithinItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{errs: []error{&Throttled{RetryAfter: 7 * time.Second}}}
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

// The second attempt resumes from the session that the first one saved.
func TestRetryPassesTheSessionOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []byte
		var got []string
		f := &fake{errs: []error{ErrTemporary}}
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

func TestRetryDoesNotRepeatAListingThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{errs: []error{ErrTemporary}, listed: []Remote{{Path: "a"}, {Path: "b"}}}
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
