package dam

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// fake fails with the errors in errs, in turn, and then succeeds.
type fake struct {
	mu     sync.Mutex
	errs   []error
	put    func(Object)
	listed []Remote
	times  []time.Time // of each call
}

func (f *fake) next() error {
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

func (f *fake) answer(path string) (Remote, error) {
	return Remote{Path: path, State: Present}, f.next()
}

func (f *fake) Describe() Capabilities { return Capabilities{ReadBack: true} }

func (f *fake) Check(context.Context, bool) error { return f.next() }

func (f *fake) Find(context.Context, Key, []string) (Remote, error) { return f.answer("a") }

func (f *fake) Put(_ context.Context, obj Object, _ Remote) (Remote, error) {
	if f.put != nil {
		f.put(obj)
	}
	return f.answer(obj.Path)
}

func (f *fake) SetMetadata(_ context.Context, r Remote, _ OwnerMark, _ string, _ Metadata) (Remote, error) {
	return f.answer(r.Path)
}

func (f *fake) Move(_ context.Context, _ Remote, _ OwnerMark, path string) (Remote, error) {
	return f.answer(path)
}

func (f *fake) Retire(context.Context, Remote, OwnerMark, RetireMode) (Remote, error) {
	return Remote{State: Absent}, f.next()
}

func (f *fake) List(context.Context) iter.Seq2[Remote, error] {
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

func (f *fake) ReadBack(context.Context, Remote) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("bytes")), f.next()
}

// everyCall calls each method of a once, in the order of Op's constants.
func everyCall(t *testing.T, a Adapter) {
	t.Helper()
	m := OwnerMark{AssetID: "A-7", Generation: 5}
	there := Remote{Path: "a", Mark: m}
	_ = a.Check(t.Context(), true)
	_, _ = a.Find(t.Context(), Key{AssetID: m.AssetID}, nil)
	_, _ = a.Put(t.Context(), Object{Mark: m, Path: "b"}, there)
	_, _ = a.SetMetadata(t.Context(), there, m, "", nil)
	_, _ = a.Move(t.Context(), there, m, "c")
	_, _ = a.Retire(t.Context(), there, m, RetireDelete)
	for _, err := range a.List(t.Context()) {
		_ = err
	}
	if body, err := ReadBack(t.Context(), a, there); err == nil {
		_ = body.Close()
	}
}

func TestLoggingLogsEachCall(t *testing.T) {
	const subject = `,"asset_id":"A-7","generation":5,"from":"a"`
	calls := []struct{ asked, answered string }{
		{`"op":"check","populated":true`, ``},
		{`"op":"find","asset_id":"A-7"`, `,"path":"a","state":"present"`},
		{`"op":"put"` + subject + `,"wanted_path":"b"`, `,"path":"b","state":"present"`},
		{`"op":"set_metadata"` + subject, `,"path":"a","state":"present"`},
		{`"op":"move"` + subject + `,"wanted_path":"c"`, `,"path":"c","state":"present"`},
		{`"op":"retire"` + subject + `,"mode":"delete"`, `,"state":"absent"`},
		{`"op":"list","objects":2`, ``},
		{`"op":"read_back","asset_id":"A-7","from":"a"`, ``},
	}
	for name, fails := range map[string]error{"with the answer of a success": nil, "with error and class of a failure": ErrFull} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out, want strings.Builder
				f := &fake{errs: slices.Repeat([]error{fails}, len(calls)), listed: []Remote{{Path: "x"}, {Path: "y"}}}
				everyCall(t, Logging(f, zerolog.New(&out), "brand"))
				for _, c := range calls {
					if fails != nil {
						c.answered = `,"error":"target unavailable: no space left","error_class":"unavailable"`
					}
					want.WriteString(`{"level":"debug","target":"brand",` + c.asked + c.answered + `,"duration_ms":0,"message":"target called"}` + "\n")
				}
				if out.String() != want.String() {
					t.Errorf("logged\n%s\nwant\n%s", out.String(), want.String())
				}
			})
		})
	}
}

func TestLoggingReturnsTheErrorUnchanged(t *testing.T) {
	if err := Logging(&fake{errs: []error{ErrFull}}, zerolog.Nop(), "brand").Check(t.Context(), false); err != ErrFull {
		t.Errorf("the error became %v", err)
	}
}

func TestMetricsObservesEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Call
		f := &fake{errs: []error{nil, nil, ErrFull}, put: func(Object) { time.Sleep(time.Second) }}
		everyCall(t, Metrics(f, func(c Call) { calls = append(calls, c) }))
		want := []Call{
			{Op: OpCheck},
			{Op: OpFind},
			{Op: OpPut, Class: ClassUnavailable, Took: time.Second},
			{Op: OpSetMetadata},
			{Op: OpMove},
			{Op: OpRetire},
			{Op: OpList},
			{Op: OpReadBack},
		}
		if !slices.Equal(calls, want) {
			t.Errorf("observed %+v, want %+v", calls, want)
		}
	})
}

// A listing that fails after its first answers is a failed call, too.
func TestMetricsObservesAListingThatBreaksOff(t *testing.T) {
	var calls []Call
	a := Metrics(Retry(&fake{errs: []error{ErrTemporary}, listed: []Remote{{Path: "x"}}}), func(c Call) { calls = append(calls, c) })
	var last error
	for _, err := range a.List(t.Context()) {
		last = err
	}
	if len(calls) != 1 || calls[0].Class != ClassTemporary || !errors.Is(last, ErrTemporary) {
		t.Errorf("observed %+v, error %v", calls, last)
	}
}

// bare has no ReadBack.
type bare struct{ Adapter }

func (bare) Describe() Capabilities { return Capabilities{} }

func TestReadBackNeedsTheCapability(t *testing.T) {
	for name, a := range map[string]Adapter{"bare": bare{}, "decorated": Retry(bare{})} {
		if _, err := ReadBack(t.Context(), a, Remote{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
