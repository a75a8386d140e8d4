package damtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"damsync/dam"
)

func bodyCases() []testCase {
	return []testCase{
		{"a broken body creates nothing", brokenOnCreation},
		{"a broken body replaces nothing", brokenOnReplacing},
		{"a broken body adopts nothing", brokenOnAdopting},
		{"the error of opening a body is returned", doesNotOpen},
		{"cancelling ends a call and changes nothing", cancelled},
	}
}

var errBroken = errors.New("connection reset")

// brokenReader returns a reader of a stream that breaks off at once.
func brokenReader() io.Reader {
	return readerFunc(func([]byte) (int, error) { return 0, errBroken })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// brokenSources returns bodies that break the promise of the three bytes "two".
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

func putBroken(k *kit, current dam.Remote, path string, adopt bool) {
	k.Helper()
	for name, source := range brokenSources() {
		obj := k.object("A", path, "two", 2)
		obj.Adopt = adopt
		obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) { return source, nil }
		_, err := k.a.Put(k.ctx, obj, current)
		wantClass(k, "put of a body that is "+name, err, dam.ClassSource)
	}
}

func brokenOnCreation(k *kit) {
	putBroken(k, dam.Remote{}, "a.png", false)
	if r := k.find("A"); r.State != dam.Absent {
		k.Errorf("find returned %s", r.State)
	}
	wantNothingAt(k, "a.png")
	wantCount(k, 0)
	obj := k.object("A", "a.png", "two", 2)
	wantPut(k, k.put(obj, dam.Remote{}), obj, "two")
}

func brokenOnReplacing(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	putBroken(k, r, "a.png", false)
	putBroken(k, r, "b.png", false)
	wantThere(k, obj, "one")
	wantNothingAt(k, "b.png")
	wantCount(k, 1)
}

// brokenOnAdopting adopts with a body that ends early: its bytes prove nothing.
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
	wantClass(k, "adopt with a broken body", err, dam.ClassSource, dam.ClassForeign)
	wantForeign(k, "a.png", "tw")
}

func doesNotOpen(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return nil, errors.Join(dam.ErrSource, errBroken)
	}
	_, err := k.a.Put(k.ctx, obj, dam.Remote{})
	wantClass(k, "put of a body that does not open", err, dam.ClassSource)
	if !errors.Is(err, errBroken) {
		k.Errorf("the error does not wrap that of the body: %v", err)
	}
	wantCount(k, 0)
}

// cancelled cancels the context in the middle of a body, and before each other call.
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
		k.Errorf("put with a cancelled context: %v", err)
	}
	for doing, call := range everyCall(ctx, k, r) {
		if err := call(); !errors.Is(err, context.Canceled) {
			k.Errorf("%s with a cancelled context: %v", doing, err)
		}
	}
	if took := time.Since(start); took > 30*time.Second {
		k.Errorf("calls with a cancelled context took %s", took)
	}
	wantThere(k, obj, "one")
	wantCount(k, 1)
}

// everyCall returns a call of each kind on asset A, at generation 3.
func everyCall(ctx context.Context, k *kit, r dam.Remote) map[string]func() error {
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

// content returns an Object.Open of body, which promises digest unless it is empty.
func content(body, digest string) func(context.Context, dam.Checkpoint) (*dam.Source, error) {
	return dam.Opener(int64(len(body)), digest, func(_ context.Context, at int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body[at:])), nil
	})
}

func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}
