package sync

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/filesystem"
	"damsync/internal/state"
	"damsync/sync/verify"
)

// blind is a target that shows one asset to nobody, and is well otherwise.
type blind struct {
	dam.Adapter
	hidden  string
	err     error
	listed  bool  // its list names the asset all the same
	unwell  error // what Check says once the list is read
	checked bool
}

func (b *blind) Check(ctx context.Context, populated bool) error {
	if b.checked && b.unwell != nil {
		return b.unwell
	}
	b.checked = true
	return b.Adapter.Check(ctx, populated)
}

func (b *blind) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if key.AssetID == b.hidden && !b.listed {
		return dam.Remote{}, b.err
	}
	return b.Adapter.Find(ctx, key, hints)
}

func (b *blind) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		for r, err := range b.Adapter.List(ctx) {
			if err == nil && r.Mark.AssetID == b.hidden && !b.listed {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (b *blind) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	if r.Mark.AssetID == b.hidden {
		return nil, b.err
	}
	return dam.ReadBack(ctx, b.Adapter, r)
}

// An object that cannot be looked at is told, and hides no other; a target that
// cannot be used ends its verification.
func TestUnverifiedObjects(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	wanted := w.wanted("photos")
	gone := anyOf(wanted)
	if err := os.Remove(filepath.Join(w.root("photos"), wanted[gone].Path)); err != nil {
		t.Fatal(err)
	}
	delete(wanted, gone)
	hidden := anyOf(wanted)
	e := w.replica().engine
	sound, err := filesystem.New(map[string]any{"root": w.root("photos")}, "photos", w.instance)
	if err != nil {
		t.Fatal(err)
	}
	refused, away := errors.Join(dam.ErrAuth, errors.New("not this one")), errors.Join(dam.ErrUnavailable, errors.New("gone away"))
	for name, test := range map[string]struct {
		adapter blind
		depth   verify.Depth
		want    int64
	}{
		"refused":         {blind{err: refused}, verify.DepthToken, 1},
		"failing":         {blind{err: dam.ErrTemporary}, verify.DepthToken, 1},
		"not read back":   {blind{err: refused, listed: true}, verify.DepthReadback, 1},
		"target is away":  {blind{err: away, unwell: away}, verify.DepthToken, 0},
		"away in reading": {blind{err: away, unwell: away, listed: true}, verify.DepthReadback, 0},
	} {
		b := test.adapter
		b.Adapter, b.hidden = sound, hidden
		for i := range e.verifier.Targets {
			if e.verifier.Targets[i].Rule.Name() == "photos" {
				e.verifier.Targets[i].Adapter = &b
			}
		}
		result, err := e.Verify(t.Context(), verify.Options{Targets: []string{"photos"}, Depth: test.depth, RequestedBy: "test"})
		if err != nil {
			t.Fatal(err)
		}
		tv := result.Targets[0]
		if test.adapter.unwell != nil {
			if !errors.Is(tv.Err, away) {
				t.Errorf("%s: %v", name, tv.Err)
			}
			continue
		}
		if tv.Err != nil || tv.Counts[state.DriftMissing] != 1 || tv.Counts[state.DriftUnverified] != test.want {
			t.Errorf("%s: %v, %v", name, tv.Counts, tv.Err)
		}
		told := query[string](w, `SELECT concat_ws(' ', asset_id, path, differs) FROM report.drift WHERE kind = 'unverified'`)
		if !strings.HasPrefix(told, hidden+" "+wanted[hidden].Path+" ") || query[int](w, `SELECT unverified::int FROM report.verifications WHERE target = 'photos'`) != 1 {
			t.Errorf("%s: told as %q", name, told)
		}
	}
}
