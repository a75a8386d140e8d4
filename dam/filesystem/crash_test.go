package filesystem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"damsync/dam"
	"damsync/dam/sidecar"
)

var errCrash = errors.New("the process died")

// dyingAfter makes an adapter whose process dies before step n: that step and
// all later ones do not happen. died tells whether it came to that. lacking are
// steps that the file system does not offer.
func dyingAfter(t testing.TB, root string, n int, lacking ...string) (a *Adapter, died func() bool) {
	t.Helper()
	a = open(t, root)
	a.cleaned.Store(true)
	done := 0
	a.fault = func(step string) error {
		if done++; done > n {
			return errCrash
		}
		if slices.Contains(lacking, step) {
			return errors.ErrUnsupported
		}
		return nil
	}
	return a, func() bool { return done > n }
}

// scenario is one call on a prepared root and what it has to lead to.
type scenario struct {
	name   string
	before func(testing.TB, *Adapter) dam.Remote
	call   func(context.Context, *Adapter, dam.Remote) (dam.Remote, error)
	source string // where the object is before, empty when nowhere
	dest   string // where it is afterwards, empty when nowhere
	body   string // what it holds afterwards
	state  dam.State
}

func scenarios() []scenario {
	nothing := func(testing.TB, *Adapter) dam.Remote { return dam.Remote{State: dam.Absent} }
	one := func(t testing.TB, a *Adapter) dam.Remote {
		return mustPut(t, a, object("A", "d/a.png", "one", 1), dam.Remote{})
	}
	archived := func(t testing.TB, a *Adapter) dam.Remote {
		r, err := a.Retire(t.Context(), one(t, a), mark("A", 2), dam.RetireArchive)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	put := func(path, body string) func(context.Context, *Adapter, dam.Remote) (dam.Remote, error) {
		return func(ctx context.Context, a *Adapter, r dam.Remote) (dam.Remote, error) {
			return a.Put(ctx, object("A", path, body, 5), r)
		}
	}
	move := func(path string) func(context.Context, *Adapter, dam.Remote) (dam.Remote, error) {
		return func(ctx context.Context, a *Adapter, r dam.Remote) (dam.Remote, error) {
			return a.Move(ctx, r, mark("A", 5), path)
		}
	}
	retire := func(mode dam.RetireMode) func(context.Context, *Adapter, dam.Remote) (dam.Remote, error) {
		return func(ctx context.Context, a *Adapter, r dam.Remote) (dam.Remote, error) {
			return a.Retire(ctx, r, mark("A", 5), mode)
		}
	}
	metadata := func(ctx context.Context, a *Adapter, r dam.Remote) (dam.Remote, error) {
		return a.SetMetadata(ctx, r, mark("A", 5), "t", nil)
	}
	return []scenario{
		{"create", nothing, put("n/new.png", "one"), "", "n/new.png", "one", dam.Present},
		{"replace", one, put("d/a.png", "two"), "d/a.png", "d/a.png", "two", dam.Present},
		{"replace elsewhere", one, put("n/new.png", "two"), "d/a.png", "n/new.png", "two", dam.Present},
		{"put the same elsewhere", one, put("n/new.png", "one"), "d/a.png", "n/new.png", "one", dam.Present},
		{"put over the archived", archived, put("n/new.png", "two"), ".archive/d/a.png", "n/new.png", "two", dam.Present},
		{"move", one, move("n/new.png"), "d/a.png", "n/new.png", "one", dam.Present},
		{"change case", one, move("D/A.png"), "d/a.png", "D/A.png", "one", dam.Present},
		{"take back", archived, move("d/a.png"), ".archive/d/a.png", "d/a.png", "one", dam.Present},
		{"set metadata", one, metadata, "d/a.png", "d/a.png", "one", dam.Present},
		{"archive", one, retire(dam.RetireArchive), "d/a.png", ".archive/d/a.png", "one", dam.Archived},
		{"delete", one, retire(dam.RetireDelete), "d/a.png", "", "", dam.Absent},
		{"delete archived", archived, retire(dam.RetireDelete), ".archive/d/a.png", "", "", dam.Absent},
	}
}

// everyCrash runs do for each scenario and each step its call can die before,
// with the root as the death left it.
func everyCrash(t *testing.T, do func(t *testing.T, sc scenario, root string), lacking ...string) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			crashed := true
			for n := 0; crashed; n++ {
				t.Run(fmt.Sprintf("step %d", n), func(t *testing.T) {
					root := memoryDir(t)
					old := sc.before(t, open(t, root))
					a, died := dyingAfter(t, root, n, lacking...)
					_, err := sc.call(t.Context(), a, old)
					if crashed = died(); crashed && !errors.Is(err, errCrash) {
						t.Fatalf("died, but the call answered %v", err)
					} else if !crashed && err != nil {
						t.Fatal(err)
					}
					do(t, sc, root)
				})
			}
		})
	}
}

func (sc scenario) want() map[string]string {
	if sc.dest == "" {
		return map[string]string{}
	}
	return map[string]string{sc.dest: sc.body, sc.dest + sidecar.Suffix: "A " + sum(sc.body)}
}

func TestCrashThenRepeat(t *testing.T) {
	for name, lacking := range map[string][]string{
		"exclusive rename": nil,
		"link":             {"rename to a new name"},
		"plain rename":     {"rename to a new name", "link"},
	} {
		t.Run(name, func(t *testing.T) { everyCrash(t, repeat, lacking...) })
	}
}

func repeat(t *testing.T, sc scenario, root string) {
	t.Helper()
	a := open(t, root)
	r, err := a.Find(t.Context(), key("A"), nil)
	if err != nil || r.State == dam.Foreign {
		t.Fatalf("find after the crash answered %+v, %v", r, err)
	}
	if r, err = sc.call(t.Context(), a, r); err != nil || r.State != sc.state {
		t.Fatalf("the repeated call answered %+v, %v", r, err)
	}
	wantFiles(t, root, sc.want())
	if found, err := a.Find(t.Context(), key("A"), nil); err != nil || found.State != sc.state {
		t.Errorf("find after all answered %+v, %v", found, err)
	}
}

// What Find calls settled is settled: nothing of the asset is anywhere else.
func TestCrashThenTrustFind(t *testing.T) {
	everyCrash(t, func(t *testing.T, sc scenario, root string) {
		r, err := open(t, root).Find(t.Context(), key("A"), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := files(t, root)
		switch r.State {
		case dam.Present, dam.Archived:
			if len(got) != 2 || got[r.Ref] == "" || got[r.Ref+sidecar.Suffix] != "A "+sum(got[r.Ref]) {
				t.Errorf("find answered %+v, there are %v", r, got)
			}
		case dam.Absent:
			if len(got) != 0 {
				t.Errorf("find answered absent, there are %v", got)
			}
		}
	})
}

// An asset that died while leaving a place does not keep it from the next one,
// and one that has not left it does.
func TestCrashThenAnotherAsset(t *testing.T) {
	everyCrash(t, func(t *testing.T, sc scenario, root string) {
		if checkPath(sc.source) != nil {
			t.Skip("the object was in no place that another asset can have")
		}
		a := open(t, root)
		r, err := a.Find(t.Context(), key("A"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Put(t.Context(), object("Z", sc.source, "zed", 1), dam.Remote{})
		if r.Ref == sc.source && r.State != dam.Absent {
			wantClass(t, err, dam.ClassConflict)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sc.call(t.Context(), a, r); err != nil {
			t.Fatal(err)
		}
		want := sc.want()
		want[sc.source], want[sidecarPath(sc.source)] = "zed", "Z "+sum("zed")
		wantFiles(t, root, want)
	})
}

// A foreign file that comes to a place the crash left free is nobody's to touch,
// be its bytes those of the asset.
func TestCrashThenForeignFile(t *testing.T) {
	for _, body := range []string{"one", "two", "of another"} {
		t.Run(body, func(t *testing.T) {
			everyCrash(t, func(t *testing.T, sc scenario, root string) {
				foreign := intrude(t, root, body, sc.source, sc.dest, "d/a.png")
				a := open(t, root)
				r, err := a.Find(t.Context(), key("A"), nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = sc.call(t.Context(), a, r)
				if _, inTheWay := foreign[sc.dest]; inTheWay && sc.dest[0] != '.' {
					wantClass(t, err, dam.ClassForeign)
				} else if err != nil {
					t.Fatal(err)
				}
				got := files(t, root)
				for p, body := range foreign {
					if got[p] != body {
						t.Errorf("foreign file %s is now %q", p, got[p])
					}
				}
				if err == nil && sc.state != dam.Archived {
					want := sc.want()
					maps.Copy(want, foreign)
					wantFiles(t, root, want)
				}
			})
		})
	}
}

// intrude puts a file to each of the places that has none, also when our sidecar
// is still there.
func intrude(t *testing.T, root, body string, places ...string) map[string]string {
	t.Helper()
	foreign := map[string]string{}
	for _, p := range places {
		if p == "" {
			continue
		}
		_, errFile := os.Lstat(filepath.Join(root, p))
		if errors.Is(errFile, os.ErrNotExist) {
			write(t, root, p, body)
			foreign[p] = body
		}
	}
	return foreign
}
