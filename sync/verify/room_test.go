package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/dam/damtest/memory"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/push"
	"damsync/sync/roomtest"
	"damsync/sync/rules"
	"damsync/sync/source"
)

// room is a verifier of a target in memory, which a pusher has filled from a library that only gives bytes.
type room struct {
	*roomtest.Database
	t        *testing.T
	target   *memory.Store
	adapter  *memory.Adapter // of target, without what a test does to the verifier's
	pusher   *push.Pusher
	guard    *push.Guard
	verifier *Verifier
}

// newRoom puts n assets at a target with a removal limit of count.
func newRoom(t *testing.T, n, count int) *room {
	t.Helper()
	target := memory.NewStore()
	r := &room{Database: roomtest.NewDatabase(t), t: t, target: target, adapter: memory.New(target, roomtest.Target, roomtest.Instance)}
	rule := roomtest.Rule(t, plan.RemoveDelete, plan.RemovalLimit{Count: count})
	src := source.New(&roomtest.Host{}, zerolog.Nop())
	r.pusher = &push.Pusher{
		Target: push.Target{Rule: rule, Adapter: r.adapter}, Instance: roomtest.Instance, Store: r.Database, Source: src,
		Rules: inForce{}, Wakeup: loop.NewWakeup(), SlowPoll: 10 * time.Millisecond, Log: zerolog.Nop(),
	}
	r.guard = &push.Guard{
		Store: r.Database, Planned: inForce{}, InForce: func() []*plan.Target { return []*plan.Target{rule} },
		Wakeup: loop.NewWakeup(), SlowPoll: 10 * time.Millisecond, Log: zerolog.Nop(),
	}
	r.verifier = &Verifier{
		Targets: []Target{{Rule: rule, Adapter: r.adapter}}, Instance: roomtest.Instance,
		Runs: r.Database, Drift: r.Database, Repairs: r.Database,
		Planner: &rules.Planner{Rules: rules.NewSet(nil, plan.FolderOrder{}, func() {}), Store: r.Database, Log: zerolog.Nop()},
		Backlog: &backlog.Waiter{Store: r.Database, Source: src},
		Engine: Engine{
			Prepare: func(context.Context) error { return nil }, Working: r.working,
			Deferred: func() (*grant.Deferred, bool) { return nil, false },
		},
		Log: zerolog.Nop(),
	}
	r.put(n)
	return r
}

// inForce says that every rule runs and is planned for all assets.
type inForce struct{}

func (inForce) Runs(*plan.Target) bool { return true }

func (inForce) Stale(context.Context) ([]*plan.Target, int64, error) { return nil, 1, nil }

// working pushes and releases removals while do runs.
func (r *room) working(ctx context.Context, _ []string, do func(context.Context) error) error {
	beside, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{r.pusher.Run, r.guard.Run} {
		running.Go(func() { _ = run(beside) }) // always nil
	}
	defer running.Wait()
	defer stop()
	return do(ctx)
}

// asset is the id, and with ".png" the path, of the i-th asset.
func asset(i int) string { return fmt.Sprintf("asset-%02d", i) }

func path(i int) string { return asset(i) + ".png" }

// put plans n assets and pushes what is due.
func (r *room) put(n int) {
	r.t.Helper()
	want := map[string]state.Desired{}
	for i := range n {
		want[asset(i)] = roomtest.At(path(i), "v1", asset(i))
	}
	r.Want(want)
	r.push()
}

func (r *room) push() {
	r.t.Helper()
	for {
		jobs, err := r.pusher.Claim(r.t.Context(), 100)
		if err != nil {
			r.t.Fatalf("claim: %v", err)
		}
		if len(jobs) == 0 {
			return
		}
		for _, job := range jobs {
			job(r.t.Context())
		}
	}
}

// verify returns the outcome for the one target.
func (r *room) verify(o Options) TargetResult {
	r.t.Helper()
	o.RequestedBy, o.Poll = "test", 10*time.Millisecond
	result, err := r.verifier.Verify(r.t.Context(), o)
	if err != nil || len(result.Targets) != 1 {
		r.t.Fatalf("verify: %+v, %v", result, err)
	}
	return result.Targets[0]
}

// drift lists what is recorded, as "kind asset path".
func (r *room) drift() []string {
	r.t.Helper()
	rows, err := r.Pool.Query(r.t.Context(), `SELECT concat_ws(' ', kind, nullif(asset_id, ''), path) FROM report.drift ORDER BY 1`)
	if err != nil {
		r.t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// drifted fails the test unless exactly want is recorded.
func (r *room) drifted(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := r.drift(); !slices.Equal(got, want) {
		r.t.Errorf("drift %q, want %q", got, want)
	}
}

// find returns what the target holds of an asset.
func (r *room) find(id string) dam.Remote {
	r.t.Helper()
	remote, err := r.adapter.Find(r.t.Context(), dam.Key{Instance: roomtest.Instance, AssetID: id}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return remote
}

// lose removes objects behind the back of the pusher.
func (r *room) lose(paths ...string) {
	r.t.Helper()
	for _, p := range paths {
		if err := r.target.Remove(r.t.Context(), p); err != nil {
			r.t.Fatal(err)
		}
	}
}

// stray puts an object of ours that no placement wants.
func (r *room) stray(id string) {
	r.t.Helper()
	body := "bytes of a stray"
	obj := dam.Object{
		Mark: dam.OwnerMark{Instance: roomtest.Instance, Target: roomtest.Target, AssetID: id, Version: "v1", Size: int64(len(body)), Generation: 1000},
		Path: "stray/" + id, Title: "A stray",
	}
	obj.Open = dam.Opener(obj.Mark.Size, "", func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body)), nil
	})
	if _, err := r.adapter.Put(r.t.Context(), obj, dam.Remote{State: dam.Absent}); err != nil {
		r.t.Fatal(err)
	}
}

// move gives an object another path behind the back of the pusher.
func (r *room) move(id, to string) {
	r.t.Helper()
	at := r.find(id)
	if _, err := r.adapter.Move(r.t.Context(), at, at.Mark, to); err != nil {
		r.t.Fatal(err)
	}
}

// retitle gives an object other metadata behind the back of the pusher.
func (r *room) retitle(id string) {
	r.t.Helper()
	at := r.find(id)
	mark := at.Mark
	mark.MetadataHash = hex.EncodeToString(make([]byte, 32))
	if _, err := r.adapter.SetMetadata(r.t.Context(), at, mark, "Another title", nil); err != nil {
		r.t.Fatal(err)
	}
}

// meddler is a target whose answers a test can change.
type meddler struct {
	dam.Adapter
	find     func(id string) error                                           // an error replaces the answer
	list     func(iter.Seq2[dam.Remote, error]) iter.Seq2[dam.Remote, error] // what the list becomes
	check    func() error
	readBack func(id string) (string, error)
}

// meddle puts a meddler between the verifier and its target.
func (r *room) meddle(m *meddler) {
	if m.Adapter == nil {
		m.Adapter = r.adapter
	}
	r.verifier.Targets[0].Adapter = m
}

func (m *meddler) Check(ctx context.Context, populated bool) error {
	if m.check != nil {
		if err := m.check(); err != nil {
			return err
		}
	}
	return m.Adapter.Check(ctx, populated)
}

func (m *meddler) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if m.find != nil {
		if err := m.find(key.AssetID); err != nil {
			return dam.Remote{}, err
		}
	}
	return m.Adapter.Find(ctx, key, hints)
}

func (m *meddler) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	if m.list != nil {
		return m.list(m.Adapter.List(ctx))
	}
	return m.Adapter.List(ctx)
}

func (m *meddler) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	if m.readBack == nil {
		return dam.ReadBack(ctx, m.Adapter, r)
	}
	body, err := m.readBack(r.Mark.AssetID)
	return io.NopCloser(strings.NewReader(body)), err
}

// without leaves one asset out of a list.
func without(id string) func(iter.Seq2[dam.Remote, error]) iter.Seq2[dam.Remote, error] {
	return func(list iter.Seq2[dam.Remote, error]) iter.Seq2[dam.Remote, error] {
		return func(yield func(dam.Remote, error) bool) {
			for r, err := range list {
				if (err != nil || r.Mark.AssetID != id) && !yield(r, err) {
					return
				}
			}
		}
	}
}

var errBroken = errors.New("the list broke off")

// breaking ends a list with an error after n objects.
func breaking(n int) func(iter.Seq2[dam.Remote, error]) iter.Seq2[dam.Remote, error] {
	return func(list iter.Seq2[dam.Remote, error]) iter.Seq2[dam.Remote, error] {
		return func(yield func(dam.Remote, error) bool) {
			listed := 0
			for r, err := range list {
				if listed++; listed > n {
					break
				}
				if !yield(r, err) {
					return
				}
			}
			yield(dam.Remote{}, errBroken)
		}
	}
}
