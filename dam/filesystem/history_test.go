package filesystem

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"damsync/dam"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// desired is what the core wants of an asset.
type desired struct {
	state dam.State
	path  string
	body  string
}

// history drives a root as the core does, with processes that die anywhere.
type history struct {
	tb         testing.TB
	root       string
	wants      map[string]desired
	open       map[string]bool // the last call died, so the outcome is unknown
	generation map[string]int64
	foreign    map[string]string
}

var (
	historyIDs   = []string{"A", "B", "C"}
	historyPaths = []string{"a.png", "A.png", "d/a.png", "d/e/a.png", "d", "a.png/b", "r\u00f6t.png", "ro\u0308t.png"}
)

// After any history of calls, crashes and foreign files, each asset is exactly once
// where it should be, with its bytes, and foreign files are as they were.
func TestAnyHistoryConverges(t *testing.T) {
	base := memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(base, "")
		if err != nil {
			rt.Fatal(err)
		}
		rt.Cleanup(func() {
			if err := os.RemoveAll(root); err != nil {
				rt.Error(err)
			}
		})
		h := &history{
			tb: t, root: root,
			wants: map[string]desired{}, open: map[string]bool{},
			generation: map[string]int64{}, foreign: map[string]string{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put":          h.put,
			"move":         h.move,
			"set metadata": h.setMetadata,
			"retire":       h.retire,
			"intrude":      h.intrude,
			"withdraw":     h.withdraw,
			"":             h.foreignUntouched,
		})
		h.converge(rt)
	})
}

func drawID(rt *rapid.T) string { return rapid.SampledFrom(historyIDs).Draw(rt, "asset") }

func drawPath(rt *rapid.T) string { return rapid.SampledFrom(historyPaths).Draw(rt, "path") }

// attempt makes one call as the core does: it raises the generation, looks, and
// calls. It reports whether the process survived.
func (h *history) attempt(rt *rapid.T, id string, mayDie bool,
	call func(*Adapter, dam.Remote, int64) (dam.Remote, error),
) (r dam.Remote, lived bool, err error) {
	steps := 1000
	if mayDie {
		steps = rapid.IntRange(0, 40).Draw(rt, "steps before the crash")
	}
	h.generation[id]++
	r, err = open(h.tb, h.root).Find(rt.Context(), key(id), nil)
	if err != nil {
		rt.Fatalf("find %s: %v", id, err)
	}
	a, died := dyingAfter(h.tb, h.root, steps)
	r, err = call(a, r, h.generation[id])
	if died() {
		if !errors.Is(err, errCrash) {
			rt.Fatalf("died, but the call returned %+v, %v", r, err)
		}
		h.open[id] = true
		return r, false, nil
	}
	return r, true, err
}

// reached records the outcome of a call that survived: either the asset is as wanted,
// or the call was rejected with a class that leaves everything as it was.
func (h *history) reached(rt *rapid.T, id string, want desired, r dam.Remote, err error) {
	switch dam.Classify(err) {
	case dam.ClassNone:
		if r.State != want.state || r.State != dam.Absent && r.Path != want.path {
			rt.Fatalf("%s: wanted %+v, returned %+v", id, want, r)
		}
		h.wants[id] = want
	case dam.ClassConflict, dam.ClassForeign, dam.ClassNotFound:
	default:
		rt.Fatalf("%s: wanted %+v: %v", id, want, err)
	}
}

func (h *history) put(rt *rapid.T) {
	id, path := drawID(rt), drawPath(rt)
	want := desired{dam.Present, path, rapid.SampledFrom([]string{"one", "two", "three"}).Draw(rt, "body")}
	r, lived, err := h.attempt(rt, id, true, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.Put(rt.Context(), object(id, path, want.body, gen), r)
	})
	if lived {
		if err == nil {
			delete(h.open, id)
		}
		h.reached(rt, id, want, r, err)
	}
}

func (h *history) move(rt *rapid.T) {
	id, path := drawID(rt), drawPath(rt)
	r, lived, err := h.attempt(rt, id, true, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.Move(rt.Context(), r, mark(id, gen), path)
	})
	if lived {
		h.reached(rt, id, desired{dam.Present, path, h.wants[id].body}, r, err)
	}
}

func (h *history) setMetadata(rt *rapid.T) {
	id := drawID(rt)
	_, lived, err := h.attempt(rt, id, true, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.SetMetadata(rt.Context(), r, mark(id, gen), "t", dam.Metadata{"n": gen})
	})
	if lived && err != nil && !errors.Is(err, dam.ErrNotFound) && !errors.Is(err, dam.ErrForeign) {
		rt.Fatalf("set metadata of %s: %v", id, err)
	}
}

func (h *history) retire(rt *rapid.T) {
	id := drawID(rt)
	mode := rapid.SampledFrom([]dam.RetireMode{dam.RetireDelete, dam.RetireArchive}).Draw(rt, "mode")
	r, lived, err := h.attempt(rt, id, true, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.Retire(rt.Context(), r, mark(id, gen), mode)
	})
	if !lived {
		return
	}
	if err == nil && r.State == dam.Absent {
		delete(h.open, id)
	}
	h.reached(rt, id, desired{r.State, r.Path, h.wants[id].body}, r, err)
}

// intrude writes a foreign file or a foreign sidecar where there is no file.
func (h *history) intrude(rt *rapid.T) {
	p := drawPath(rt)
	if rapid.Bool().Draw(rt, "in the archive") {
		p = archiveDir + "/" + p
	}
	if rapid.IntRange(0, 4).Draw(rt, "sidecar") == 0 {
		p = sidecarPath(p)
	}
	full := filepath.Join(h.root, p)
	if _, err := os.Lstat(full); err == nil || os.MkdirAll(filepath.Dir(full), 0o755) != nil {
		return
	}
	body := rapid.SampledFrom([]string{"one", "two", "foreign"}).Draw(rt, "foreign body")
	if err := os.WriteFile(full, []byte(body), 0o644); err == nil {
		h.foreign[p] = body
	}
}

func (h *history) withdraw(rt *rapid.T) {
	all := slices.Sorted(maps.Keys(h.foreign))
	if len(all) == 0 {
		return
	}
	p := rapid.SampledFrom(all).Draw(rt, "foreign file")
	if err := os.Remove(filepath.Join(h.root, p)); err != nil {
		rt.Fatal(err)
	}
	delete(h.foreign, p)
}

func (h *history) foreignUntouched(rt *rapid.T) {
	for p, body := range h.foreign {
		if raw, err := os.ReadFile(filepath.Join(h.root, p)); err != nil || string(raw) != body {
			rt.Fatalf("foreign file %s is now %q, %v", p, raw, err)
		}
	}
}

// converge repeats calls that died until every outcome is known, and compares all
// files.
func (h *history) converge(rt *rapid.T) {
	for _, id := range historyIDs {
		if h.open[id] {
			h.wants[id] = h.resolve(rt, id)
		}
	}
	want := maps.Clone(h.foreign)
	for id, w := range h.wants {
		r, err := open(h.tb, h.root).Find(rt.Context(), key(id), nil)
		if err != nil || r.State != w.state {
			rt.Fatalf("%s: wanted %+v, found %+v, %v", id, w, r, err)
		}
		if w.state != dam.Absent {
			want[r.Ref] = w.body
			want[sidecarPath(r.Ref)] = fmt.Sprintf("%s %s", id, sum(w.body))
		}
	}
	if diff := gocmp.Diff(want, files(h.tb, h.root)); diff != "" {
		rt.Fatalf("files under the root (-want +got):\n%s", diff)
	}
}

// resolve puts an asset again, and removes it when its place is taken.
func (h *history) resolve(rt *rapid.T, id string) desired {
	want := desired{dam.Present, drawPath(rt), "final"}
	_, _, err := h.attempt(rt, id, false, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.Put(rt.Context(), object(id, want.path, want.body, gen), r)
	})
	if err == nil {
		return want
	}
	r, _, err := h.attempt(rt, id, false, func(a *Adapter, r dam.Remote, gen int64) (dam.Remote, error) {
		return a.Retire(rt.Context(), r, mark(id, gen), dam.RetireDelete)
	})
	if err != nil || r.State != dam.Absent {
		rt.Fatalf("retire %s: %+v, %v", id, r, err)
	}
	return desired{state: dam.Absent}
}
