package damtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"damsync/dam"
)

func bodyCases() []testCase {
	return []testCase{
		{"broken on creation", brokenOnCreation},
		{"broken on replacing", brokenOnReplacing},
		{"broken on adopting", brokenOnAdopting},
		{"does not open", doesNotOpen},
		{"cancelled", cancelled},
	}
}

var errBroken = errors.New("connection reset")

// brokenReader returns a reader of a stream that breaks off at once.
func brokenReader() io.Reader {
	return readerFunc(func([]byte) (int, error) { return 0, errBroken })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// brokenSources are bodies that are not what was promised: three bytes "two".
func brokenSources() map[string]*dam.Source {
	cut := io.MultiReader(strings.NewReader("tw"), brokenReader())
	return map[string]*dam.Source{
		"short":          dam.NewSource(strings.NewReader("tw"), 3, ""),
		"long":           dam.NewSource(strings.NewReader("two and more"), 3, ""),
		"another digest": dam.NewSource(strings.NewReader("owt"), 3, sum("two")),
		"cut off":        dam.NewSource(cut, 3, ""),
		"failed at once": dam.NewSource(brokenReader(), 3, ""),
		"empty":          dam.NewSource(strings.NewReader(""), 3, ""),
	}
}

func (k *kit) putBroken(current dam.Remote, path string, adopt bool) {
	k.Helper()
	for name, source := range brokenSources() {
		obj := k.object("A", path, "two", 2)
		obj.Adopt = adopt
		obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) { return source, nil }
		_, err := k.a.Put(k.ctx, obj, current)
		k.wantClass("put of a body that is "+name, err, dam.ClassSource)
	}
}

func brokenOnCreation(k *kit) {
	k.putBroken(dam.Remote{}, "a.png", false)
	if r := k.find("A"); r.State != dam.Absent {
		k.Errorf("find gives %s", r.State)
	}
	k.wantNothingAt("a.png")
	k.wantCount(0)
	obj := k.object("A", "a.png", "two", 2)
	k.wantPut(k.put(obj, dam.Remote{}), obj, "two")
}

func brokenOnReplacing(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	k.putBroken(r, "a.png", false)
	k.putBroken(r, "b.png", false)
	k.wantThere(obj, "one")
	k.wantNothingAt("b.png")
	k.wantCount(1)
}

// brokenOnAdopting: bytes nobody vouches for prove nothing.
func brokenOnAdopting(k *kit) {
	k.needsBackdoor()
	k.needs(k.can.UniquePaths, "unique paths")
	k.write("a.png", "tw")
	obj := k.object("A", "a.png", "two", 1)
	obj.Adopt = true
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return dam.NewSource(strings.NewReader("tw"), 3, ""), nil
	}
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	k.wantClass("adopt with a broken body", err, dam.ClassSource, dam.ClassForeign)
	k.wantForeign("a.png", "tw")
}

func doesNotOpen(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return nil, errors.Join(dam.ErrSource, errBroken)
	}
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	k.wantClass("put of a body that does not open", err, dam.ClassSource)
	if !errors.Is(err, errBroken) {
		k.Errorf("the error does not wrap the body's: %v", err)
	}
	k.wantCount(0)
}

// cancelled ends the context in the middle of the body, and before a call.
func cancelled(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	next := k.object("A", "a.png", "two", 2)
	next.Open = func(ctx context.Context, _ dam.Checkpoint) (*dam.Source, error) {
		wait := readerFunc(func([]byte) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		})
		return dam.NewSource(io.MultiReader(strings.NewReader("t"), wait), 3, ""), nil
	}
	start := time.Now()
	if _, err := k.a.Put(ctx, next, r); !errors.Is(err, context.Canceled) {
		k.Errorf("put whose context ended: %v", err)
	}
	for doing, call := range k.calls(ctx, r) {
		if err := call(); !errors.Is(err, context.Canceled) {
			k.Errorf("%s after the end of its context: %v", doing, err)
		}
	}
	if took := time.Since(start); took > 30*time.Second {
		k.Errorf("calls without a context took %s", took)
	}
	k.wantThere(obj, "one")
	k.wantCount(1)
}

// calls are one of each kind on asset A at generation 3.
func (k *kit) calls(ctx context.Context, r dam.Remote) map[string]func() error {
	calls := map[string]func() error{
		"find": func() error { _, err := k.a.Find(ctx, k.key("A"), []string{"a.png"}); return err },
		"put":  func() error { _, err := k.a.Put(ctx, k.object("A", "a.png", "three", 3), r); return err },
		"list": func() error {
			var last error
			for _, err := range k.a.List(ctx) {
				last = err
			}
			return last
		},
	}
	if k.can.MetadataWithoutBytes {
		calls["set metadata"] = func() error { _, err := k.a.SetMetadata(ctx, r, k.mark("A", 3), "t", nil); return err }
	}
	if k.can.ServerSideMove {
		calls["move"] = func() error { _, err := k.a.Move(ctx, r, k.mark("A", 3), "b.png"); return err }
	}
	for _, mode := range k.can.Retire {
		calls[string(mode)] = func() error { _, err := k.a.Retire(ctx, r, k.mark("A", 3), mode); return err }
	}
	return calls
}
