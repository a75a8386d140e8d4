package dam

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func sum(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}

// Whatever the stream does, io.EOF comes only after the promised bytes, and a
// seal only after io.EOF.
func TestSourceKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "body")
		given := rapid.OneOf(rapid.Just(body), rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(rt, "given")
		size, digest := int64(len(body)), sum(body)
		if rapid.Bool().Draw(rt, "size unknown") {
			size = UnknownSize
		}
		if rapid.Bool().Draw(rt, "digest unknown") {
			digest = ""
		}
		var r io.Reader = bytes.NewReader(given)
		if rapid.Bool().Draw(rt, "end with the last bytes") {
			r = iotest.DataErrReader(r)
		}
		s := NewSource(r, size, digest)
		got, err := io.ReadAll(s)
		sealed, sealErr := s.Seal(Mark{AssetID: "A"})

		kept := (size < 0 || int64(len(given)) == size) && (digest == "" || sum(given) == digest)
		if kept != (err == nil) || kept != (sealErr == nil) {
			rt.Fatalf("kept %v, read %v, seal %v", kept, err, sealErr)
		}
		if !kept {
			if !errors.Is(err, ErrSource) {
				rt.Fatalf("class of %v", err)
			}
			return
		}
		want := Mark{AssetID: "A", SHA256: sum(given), Size: int64(len(given))}
		if !bytes.Equal(got, given) || sealed != want {
			rt.Fatalf("read %q, sealed %+v", got, sealed)
		}
	})
}

func TestSourceStopsAtTheFirstByteTooMany(t *testing.T) {
	endless := iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 1000)))
	n, err := io.Copy(io.Discard, NewSource(endless, 10, ""))
	if n > 11 || !errors.Is(err, ErrSource) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestSourceErrorIsFinal(t *testing.T) {
	r := io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(context.Canceled), strings.NewReader("c"))
	s := NewSource(r, 3, "")
	_, err := io.ReadAll(s)
	if !errors.Is(err, ErrSource) || !errors.Is(err, context.Canceled) {
		t.Errorf("first error %v", err)
	}
	if n, again := s.Read(make([]byte, 1)); n != 0 || !errors.Is(again, ErrSource) {
		t.Errorf("read on after the error: %d, %v", n, again)
	}
}

func TestClassify(t *testing.T) {
	for err, want := range map[error]Class{
		ErrNotFound: ClassNotFound, ErrForeign: ClassForeign, ErrStale: ClassStale, ErrInvalid: ClassInvalid,
		ErrAuth: ClassAuth, ErrUnavailable: ClassUnavailable, ErrFull: ClassUnavailable, ErrReadOnly: ClassUnavailable,
		ErrTemporary: ClassTemporary, ErrSource: ClassSource,
		&Conflict{Path: "a", Holder: "B"}:           ClassConflict,
		&Throttled{RetryAfter: time.Second}:         ClassThrottled,
		fmt.Errorf("%w: %w", ErrSource, ErrAuth):    ClassSource,
		context.Canceled:                            ClassUnknown,
		errors.New("something else"):                ClassUnknown,
		errors.Join(errors.New("and"), ErrNotFound): ClassNotFound,
	} {
		if got := Classify(fmt.Errorf("put asset: %w", err)); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	if got := Classify(nil); got != ClassNone {
		t.Errorf("nil is %q", got)
	}
}

// recorder notes the calls that reach it.
type recorder struct {
	calls []string
	err   error
}

func (r *recorder) note(call string) (Remote, error) {
	r.calls = append(r.calls, call)
	return Remote{Path: "from " + call, State: Present}, r.err
}

func (r *recorder) Describe() Capabilities { return Capabilities{Adapter: "recorder"} }

func (r *recorder) Check(context.Context, bool) error {
	_, err := r.note("check")
	return err
}

func (r *recorder) Find(context.Context, Key, []string) (Remote, error) { return r.note("find") }
func (r *recorder) Put(context.Context, Object, Remote) (Remote, error) { return r.note("put") }
func (r *recorder) Move(context.Context, Remote, Mark, string) (Remote, error) {
	return r.note("move")
}

func (r *recorder) SetMetadata(context.Context, Remote, Mark, string, Metadata) (Remote, error) {
	return r.note("set metadata")
}

func (r *recorder) Retire(context.Context, Remote, Mark, RetireMode) (Remote, error) {
	return r.note("retire")
}

func (r *recorder) List(context.Context) iter.Seq2[Remote, error] {
	return func(yield func(Remote, error) bool) { yield(r.note("list")) }
}

func TestLoggingTellsEachCall(t *testing.T) {
	ctx := t.Context()
	m := Mark{AssetID: "A-7", Generation: 5}
	calls := map[string]func(Adapter) error{
		"find":         func(a Adapter) error { _, err := a.Find(ctx, m.Key(), nil); return err },
		"put":          func(a Adapter) error { _, err := a.Put(ctx, Object{Mark: m, Path: "p"}, Remote{}); return err },
		"set metadata": func(a Adapter) error { _, err := a.SetMetadata(ctx, Remote{}, m, "", nil); return err },
		"move":         func(a Adapter) error { _, err := a.Move(ctx, Remote{}, m, "p"); return err },
		"retire":       func(a Adapter) error { _, err := a.Retire(ctx, Remote{}, m, RetireDelete); return err },
	}
	for name, call := range calls {
		for _, fails := range []error{nil, ErrFull} {
			var out bytes.Buffer
			err := call(Logging(&recorder{err: fails}, zerolog.New(&out), "brand"))
			if !errors.Is(err, fails) {
				t.Errorf("%s: the error became %v", name, err)
			}
			var line map[string]any
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatalf("%s: not one line of JSON: %s", name, out.String())
			}
			want := map[string]any{"target": "brand", "asset_id": "A-7", "level": "debug"}
			if name != "find" {
				want["generation"] = 5.0
			}
			if fails == nil {
				want["path"], want["state"] = "from "+name, "present"
			} else {
				want["class"] = "unavailable"
			}
			for k, v := range want {
				if line[k] != v {
					t.Errorf("%s: %s is %v, want %v, in %s", name, k, line[k], v, out.String())
				}
			}
			if _, ok := line["duration_ms"]; !ok {
				t.Errorf("%s: no duration in %s", name, out.String())
			}
		}
	}
}
