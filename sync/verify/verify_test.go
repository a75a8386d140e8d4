package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/filesystem"
	"damsync/internal/state"
	"damsync/store"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

func TestDriftIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		disturb func(*room)
		want    []string
	}{
		"nothing when all is as it was left": {func(*room) {}, nil},
		"missing: the object is gone":        {func(r *room) { r.lose(path(1)) }, []string{"missing asset-01 asset-01.png"}},
		"changed: another path":              {func(r *room) { r.move(asset(1), "moved.png") }, []string{"changed asset-01 moved.png"}},
		"changed: other metadata":            {func(r *room) { r.retitle(asset(1)) }, []string{"changed asset-01 asset-01.png"}},
		"orphaned: ours, and unknown here":   {func(r *room) { r.stray("unknown") }, []string{"orphaned unknown stray/unknown"}},
		"orphaned: ours, and no longer wanted": {func(r *room) {
			r.Remove(false, asset(1))
			r.push()
			r.stray(asset(1))
		}, []string{"orphaned asset-01 stray/asset-01"}},
		"foreign: an object without our mark": {func(r *room) { r.foreign("theirs.png") }, []string{"foreign theirs.png"}},
		"missing and foreign: something foreign in its place": {func(r *room) {
			r.lose(path(1))
			r.foreign(path(1))
		}, []string{"foreign asset-01.png", "missing asset-01 asset-01.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 5, 100)
			test.disturb(r)
			tv := r.verify(Options{})
			if tv.Err != nil || tv.Counts.Total() != int64(len(test.want)) {
				t.Errorf("%+v", tv)
			}
			r.drifted(test.want...)
			if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.placement p WHERE damsync.is_dirty(p)`); n != 0 {
				t.Errorf("a verification without repair made %d placements dirty", n)
			}
		})
	}
}

func (r *room) foreign(at string) {
	r.t.Helper()
	if err := r.target.Write(r.t.Context(), at, []byte("theirs")); err != nil {
		r.t.Fatal(err)
	}
}

// The next verification replaces what the last one found.
func TestDriftThatEndedIsForgotten(t *testing.T) {
	r := newRoom(t, 5, 100)
	r.foreign("theirs.png")
	r.verify(Options{})
	r.drifted("foreign theirs.png")
	r.lose("theirs.png")
	r.verify(Options{})
	r.drifted()
}

// A list that breaks off proves no absence: nothing is recorded, and the drift known before stays.
func TestBrokenListProvesNothing(t *testing.T) {
	r := newRoom(t, 5, 100)
	r.lose(path(0))
	r.verify(Options{})
	r.lose(path(1))
	for _, listed := range []int{0, 2} {
		r.meddle(&meddler{list: breaking(listed)})
		tv := r.verify(Options{Repair: true})
		if !errors.Is(tv.Err, errBroken) || tv.Counts.Total() != 0 || tv.Repaired != 0 {
			t.Errorf("after %d objects: %+v", listed, tv)
		}
		r.drifted("missing asset-00 asset-00.png")
	}
	if got := roomtest.Query[string](r.Database, `SELECT state || ' ' || error FROM damsync.run ORDER BY id DESC LIMIT 1`); !strings.HasPrefix(got, "failed ") || !strings.Contains(got, errBroken.Error()) {
		t.Errorf("the run is recorded as %q", got)
	}
}

// What a list leaves out is looked for by itself: a list is no snapshot.
func TestObjectThatTheListOmitsIsLookedFor(t *testing.T) {
	r := newRoom(t, 5, 100)
	r.meddle(&meddler{list: without(asset(1))})
	if tv := r.verify(Options{}); tv.Err != nil || tv.Listed != 4 || tv.Counts.Total() != 0 {
		t.Errorf("%+v", tv)
	}
}

// A target that lists nothing of ours where there should be something may be the wrong one: nothing is inferred, and
// only a repair of everything fills it again.
func TestEmptiedTargetIsNotRefilledUnasked(t *testing.T) {
	r := newRoom(t, 5, 100)
	for i := range 5 {
		r.lose(path(i))
	}
	for _, repair := range []bool{false, true} {
		tv := r.verify(Options{Repair: repair})
		var empty *EmptyTargetError
		if !errors.As(tv.Err, &empty) || empty.Placed != 5 || tv.Repaired != 0 {
			t.Errorf("repair %t: %+v", repair, tv)
		}
		r.drifted()
	}
	if tv := r.verify(Options{Repair: true, All: true}); tv.Err != nil || tv.Repaired != 5 {
		t.Errorf("repair of everything: %+v", tv)
	}
	r.holds(5)
}

// holds fails the test unless the target holds the first n assets, each at its path.
func (r *room) holds(n int) {
	r.t.Helper()
	for i := range n {
		if at := r.find(asset(i)); at.State != dam.Present || at.Path != path(i) {
			r.t.Errorf("%s is %s at %q", asset(i), at.State, at.Path)
		}
	}
}

// An object that cannot be looked at is unverified and hides no other; a target that cannot be used ends its
// verification.
func TestUnverifiedObjects(t *testing.T) {
	refused, away := errors.Join(dam.ErrAuth, errors.New("not this one")), errors.Join(dam.ErrUnavailable, errors.New("gone away"))
	hidden := asset(2)
	hiding := func(err error) meddler {
		return meddler{list: without(hidden), find: func(id string) error {
			if id == hidden {
				return err
			}
			return nil
		}}
	}
	unreadable := func(err error) meddler {
		return meddler{readBack: func(id string) (string, error) {
			if id == hidden {
				return "", err
			}
			return roomtest.Bytes(id), nil
		}}
	}
	for name, test := range map[string]struct {
		target meddler
		depth  Depth
		unwell bool // Check fails once the list was read
	}{
		"refused":                         {hiding(refused), DepthToken, false},
		"failing":                         {hiding(dam.ErrTemporary), DepthToken, false},
		"not acceptable":                  {hiding(dam.ErrInvalid), DepthToken, false},
		"not read back":                   {unreadable(refused), DepthReadback, false},
		"the target is away":              {hiding(away), DepthToken, true},
		"the target goes away while read": {unreadable(away), DepthReadback, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 5, 100)
			r.lose(path(0))
			m := test.target
			checked := false
			m.check = func() error {
				if checked && test.unwell {
					return away
				}
				checked = true
				return nil
			}
			r.meddle(&m)
			tv := r.verify(Options{Depth: test.depth})
			if test.unwell {
				if !errors.Is(tv.Err, away) {
					t.Errorf("%+v", tv)
				}
				r.drifted()
				return
			}
			if tv.Err != nil || tv.Counts[state.DriftUnverified] != 1 {
				t.Errorf("%+v", tv)
			}
			r.drifted("missing asset-00 asset-00.png", "unverified asset-02 asset-02.png")
			if n := roomtest.Query[int](r.Database, `SELECT unverified::int FROM report.verifications`); n != 1 {
				t.Errorf("%d are reported as unverified", n)
			}
		})
	}
}

// What is about to change is no drift, whatever the target holds.
func TestMovingPlacementIsNoDrift(t *testing.T) {
	for name, disturb := range map[string]func(*room){
		"dirty, and its object is missing": func(r *room) {
			r.Want(map[string]state.Desired{asset(1): roomtest.At(path(1), "v2", "another title")})
			r.lose(path(1))
		},
		"dirty, and its object is elsewhere": func(r *room) {
			r.Want(map[string]state.Desired{asset(1): roomtest.At("b.png", "v1", "another title")})
			r.move(asset(1), "b.png")
		},
		"claimed, and its object is missing": func(r *room) {
			r.Exec(`UPDATE damsync.placement SET lease_owner = 'a worker', lease_until = clock_timestamp() + interval '1 hour' WHERE asset_id = $1`, asset(1))
			r.lose(path(1))
		},
		"dirty, and its object lacks its mark for a moment": func(r *room) {
			r.Want(map[string]state.Desired{asset(1): roomtest.At(path(1), "v2", "another title")})
			r.lose(path(1))
			r.foreign(path(1))
		},
		"to be removed, and its object is there": func(r *room) { r.Remove(true, asset(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 5, 100)
			disturb(r)
			if tv := r.verify(Options{}); tv.Err != nil || tv.Counts.Total() != 0 {
				t.Errorf("%+v", tv)
			}
			r.drifted()
		})
	}
}

// planning is a drift store that plans something once, after placements were read n times.
type planning struct {
	DriftStore
	n     int
	reads int
	plan  func()
}

func (p *planning) Placed(ctx context.Context, target string, ids []string) (map[string]state.Placed, error) {
	placed, err := p.DriftStore.Placed(ctx, target, ids)
	if p.reads++; p.reads == p.n {
		p.plan()
	}
	return placed, err
}

// A placement that is planned again while its object is compared proves nothing.
func TestPlacementPlannedMeanwhileIsNoDrift(t *testing.T) {
	for name, reads := range map[string]int{"after the list was read": 1, "while the object is looked at": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, 1, 100)
			r.move(asset(0), "b.png")
			meanwhile := &planning{DriftStore: r.Database, n: reads, plan: func() {
				r.Want(map[string]state.Desired{asset(0): roomtest.At("b.png", "v1", "another title")})
			}}
			r.verifier.Drift = meanwhile
			if tv := r.verify(Options{}); tv.Err != nil || tv.Counts.Total() != 0 {
				t.Errorf("%+v", tv)
			}
			if meanwhile.reads <= reads {
				t.Errorf("placements were read %d times: the test proves nothing", meanwhile.reads)
			}
		})
	}
}

// While plans change and a pusher works, a verification finds nothing wrong.
func TestWorkOnItsWayIsNoDrift(t *testing.T) {
	const assets, verifications = 30, 40
	r := newRoom(t, assets, 1000)
	ctx, stop := context.WithCancel(t.Context())
	edited := make(chan int, 1)
	go func() {
		edits := 0
		defer func() { edited <- edits }()
		for ; ctx.Err() == nil; edits++ {
			i := edits % assets
			want := roomtest.At(fmt.Sprintf("%d/%s", edits%7, path(i)), fmt.Sprint("v", edits%5), fmt.Sprint("title ", edits%3))
			evaluate := func(time.Time, state.Snapshot) state.Decisions {
				return state.Decisions{Changes: []state.Change{{Target: roomtest.Target, Desired: want}}}
			}
			if err := r.PlanAssets(ctx, state.Observation{Kind: state.KindPlan}, []string{asset(i)}, evaluate); err != nil && ctx.Err() == nil {
				t.Errorf("plan: %v", err)
				return
			}
		}
	}()
	err := r.working(ctx, nil, func(context.Context) error {
		for range verifications {
			if tv := r.verify(Options{}); tv.Err != nil || tv.Counts.Total() > 0 {
				t.Errorf("%+v: %q", tv, r.drift())
			}
		}
		stop()
		return nil
	})
	if n := <-edited; n < assets || err != nil {
		t.Errorf("%d edits, %v: the test proves nothing", n, err)
	}
}

// Bytes that changed at the target are found at the depth that can show them.
func TestChangedBytesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		keepTime bool // the file keeps its modification time and size
		found    map[Depth]bool
	}{
		"shown by the token":         {false, map[Depth]bool{DepthToken: true, DepthReadback: true}},
		"shown by reading back only": {true, map[Depth]bool{DepthToken: false, DepthReadback: true}},
	} {
		for depth, found := range test.found {
			t.Run(fmt.Sprintf("%s: depth %s", name, depth), func(t *testing.T) {
				r, root := onDisk(t)
				file := filepath.Join(root, path(1))
				before, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				spoilt := bytes.ToUpper([]byte(roomtest.Bytes(asset(1))))
				if err := os.WriteFile(file, spoilt, before.Mode()); err != nil {
					t.Fatal(err)
				}
				at := before.ModTime()
				if !test.keepTime {
					at = at.Add(time.Hour)
				}
				if err := os.Chtimes(file, at, at); err != nil {
					t.Fatal(err)
				}
				tv := r.verify(Options{Depth: depth})
				if tv.Err != nil || (tv.Counts[state.DriftChanged] == 1) != found || tv.Counts.Total() > 1 {
					t.Errorf("%+v", tv)
				}
				if !found {
					return
				}
				r.verify(Options{Depth: depth, Repair: true})
				if got, err := os.ReadFile(file); err != nil || string(got) != roomtest.Bytes(asset(1)) {
					t.Errorf("after its repair the file holds %q, %v", got, err)
				}
				if tv := r.verify(Options{Depth: DepthReadback}); tv.Err != nil || tv.Counts.Total() != 0 {
					t.Errorf("after its repair: %+v", tv)
				}
			})
		}
	}
}

// onDisk is a room whose target is a directory.
func onDisk(t *testing.T) (*room, string) {
	t.Helper()
	r := newRoom(t, 0, 100)
	root := filepath.Join(t.TempDir(), "root")
	files, err := filesystem.New(map[string]any{"root": root}, roomtest.Target, roomtest.Instance)
	if err != nil {
		t.Fatal(err)
	}
	r.pusher.Target.Adapter, r.verifier.Targets[0].Adapter = files, files
	r.put(5)
	return r, root
}

// A depth that a target does not offer is an error before anything is begun.
func TestImpossibleDepthBeginsNothing(t *testing.T) {
	r := newRoom(t, 1, 100)
	r.meddle(&meddler{Adapter: shallow{r.adapter}})
	if _, err := r.verifier.Verify(t.Context(), Options{Depth: DepthReadback}); !errors.Is(err, ErrDepth) {
		t.Errorf("error %v", err)
	}
	if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.run`); n != 0 {
		t.Errorf("%d runs", n)
	}
}

// shallow is a target that cannot be read back.
type shallow struct{ dam.Adapter }

func (s shallow) Describe() dam.Capabilities {
	can := s.Adapter.Describe()
	can.ReadBack = false
	return can
}

// One process verifies at a time.
func TestAnotherProcessIsVerifying(t *testing.T) {
	r := newRoom(t, 1, 100)
	other := store.New(r.Pool, "another process")
	run, err := other.StartRun(t.Context(), state.KindVerify, "test", time.Minute, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.verifier.Verify(t.Context(), Options{}); !errors.Is(err, state.ErrRunning) {
		t.Errorf("error %v", err)
	}
	if err := other.FailRun(t.Context(), run, "given up"); err != nil {
		t.Fatal(err)
	}
	r.verify(Options{})
}

// A target that cannot be verified does not keep the others from it.
func TestTargetThatFailsHidesNoOther(t *testing.T) {
	r := newRoom(t, 2, 100)
	rule, problems := plan.Compile(plan.Spec{Name: "broken"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	broken := Target{Rule: rule, Adapter: &meddler{Adapter: r.adapter, list: breaking(0)}}
	r.verifier.Targets = append([]Target{broken}, r.verifier.Targets...)
	r.lose(path(0))
	result, err := r.verifier.Verify(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]TargetResult{}
	for _, tv := range result.Targets {
		byName[tv.Target] = tv
	}
	if got := slices.Sorted(maps.Keys(byName)); !slices.Equal(got, []string{"broken", roomtest.Target}) {
		t.Fatalf("verified %q", got)
	}
	if !errors.Is(byName["broken"].Err, errBroken) || byName[roomtest.Target].Counts[state.DriftMissing] != 1 {
		t.Errorf("%+v", byName)
	}
}
