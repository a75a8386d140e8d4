package push

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/dam/damtest/memory"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
	"damsync/sync/source"
)

// room is a pusher at a target in memory, with a database and a library that only gives bytes.
type room struct {
	*roomtest.Database
	t       *testing.T
	host    *roomtest.Host
	target  *memory.Store
	meddler *meddler
	pusher  *Pusher
}

func newRoom(t *testing.T, mode plan.RemoveMode) *room {
	t.Helper()
	r := &room{Database: roomtest.NewDatabase(t), t: t, host: &roomtest.Host{}, target: memory.NewStore()}
	r.meddler = &meddler{Adapter: memory.New(r.target, roomtest.Target, roomtest.Instance)}
	r.pusher = &Pusher{
		Target:   Target{Rule: roomtest.Rule(t, mode, plan.RemovalLimit{}), Adapter: r.meddler},
		Instance: roomtest.Instance, Store: r.Database, Source: source.New(r.host, zerolog.Nop()), Rules: inForce{},
		Wakeup: loop.NewWakeup(), SlowPoll: time.Hour, Log: zerolog.Nop(),
	}
	return r
}

// inForce says that every rule runs.
type inForce struct{}

func (inForce) Runs(*plan.Target) bool { return true }

// push carries out what is due, one placement after the other, until nothing is.
func (r *room) push() {
	r.t.Helper()
	for range 100 {
		jobs, err := r.pusher.Claim(r.t.Context(), 10)
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
	r.t.Fatal("the target does not come to rest")
}

// want plans what should be at the target and pushes it.
func (r *room) want(want map[string]state.Desired) {
	r.t.Helper()
	r.Want(want)
	r.push()
}

// at returns what the target holds of an asset.
func (r *room) at(id string) dam.Remote {
	r.t.Helper()
	remote, err := r.meddler.Adapter.Find(r.t.Context(), dam.Key{Instance: roomtest.Instance, AssetID: id}, nil)
	if err != nil {
		r.t.Fatalf("find %s: %v", id, err)
	}
	return remote
}

// places fails the test unless the target holds each asset, and nothing else, at its path.
func (r *room) places(want map[string]string) {
	r.t.Helper()
	for id, path := range want {
		if got := r.at(id); got.State != dam.Present || got.Path != path {
			r.t.Errorf("asset %s is %s at %q, want it at %q", id, got.State, got.Path, path)
		}
	}
	paths, err := r.target.Paths(r.t.Context())
	if err != nil || len(paths) != len(want) {
		r.t.Errorf("the target holds %q, %v, want %d objects", paths, err, len(want))
	}
}

// body returns the bytes at a path of the target.
func (r *room) body(path string) string {
	r.t.Helper()
	seen, err := r.target.Look(r.t.Context(), path)
	if err != nil {
		r.t.Fatalf("look at %s: %v", path, err)
	}
	return string(seen.Body)
}

// recorded is a placement as the database has it.
type recorded struct {
	State      string // in_sync, pending, …
	Desired    int64  // generation
	Applied    int64  // generation
	At         string // applied state
	Path       string
	Version    string
	Class      string // of the last error
	Reason     string
	Attempts   int
	LeaseOwner string
	IntentOpen bool
}

func (r *room) row(id string) recorded {
	r.t.Helper()
	var p recorded
	err := r.Pool.QueryRow(r.t.Context(), `
		SELECT damsync.placement_state(p), desired_generation, applied_generation, applied_state, applied_path, applied_version,
			error_class, error, attempts, coalesce(lease_owner, ''), intent_generation IS NOT NULL
		FROM damsync.placement p WHERE target = $1 AND asset_id = $2`, roomtest.Target, id).
		Scan(&p.State, &p.Desired, &p.Applied, &p.At, &p.Path, &p.Version, &p.Class, &p.Reason, &p.Attempts, &p.LeaseOwner, &p.IntentOpen)
	if err != nil {
		r.t.Fatalf("read placement of %s: %v", id, err)
	}
	return p
}

// inSync fails the test unless the placements of the assets are in sync, without a lease, an intent or an error.
func (r *room) inSync(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		p := r.row(id)
		if p.State != "in_sync" && p.State != "removed" || p.Class != "" || p.Attempts != 0 || p.LeaseOwner != "" || p.IntentOpen {
			r.t.Errorf("asset %s is not in sync: %+v", id, p)
		}
	}
}

// failed fails the test unless the placement waits with an error of class.
func (r *room) failed(id string, class dam.Class) {
	r.t.Helper()
	if p := r.row(id); p.Class != string(class) || p.Reason == "" || p.Desired == p.Applied || p.LeaseOwner != "" {
		r.t.Errorf("asset %s: %+v, want it to wait with class %s", id, p, class)
	}
}

// meddler is a target whose calls are recorded and can be made to fail.
type meddler struct {
	dam.Adapter
	can       func(*dam.Capabilities)          // changes what the target can do
	check     func() error                     // the answer of Check
	before    func(op dam.Op, id string) error // an error replaces the write
	after     func(op dam.Op, id string) error // an error replaces the answer of a write that succeeded
	writes    []dam.Op
	abandoned []string
}

// wrote returns the writes since the last call.
func (m *meddler) wrote() []dam.Op {
	defer func() { m.writes = nil }()
	return slices.Clone(m.writes)
}

func (m *meddler) Describe() dam.Capabilities {
	can := m.Adapter.Describe()
	if m.can != nil {
		m.can(&can)
	}
	return can
}

func (m *meddler) Check(ctx context.Context, populated bool) error {
	if m.check != nil {
		return m.check()
	}
	return m.Adapter.Check(ctx, populated)
}

func (m *meddler) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	return m.write(dam.OpPut, obj.Mark.AssetID, func() (dam.Remote, error) { return m.Adapter.Put(ctx, obj, current) })
}

func (m *meddler) Move(ctx context.Context, r dam.Remote, mark dam.OwnerMark, path string) (dam.Remote, error) {
	return m.write(dam.OpMove, mark.AssetID, func() (dam.Remote, error) { return m.Adapter.Move(ctx, r, mark, path) })
}

func (m *meddler) SetMetadata(ctx context.Context, r dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
	return m.write(dam.OpSetMetadata, mark.AssetID, func() (dam.Remote, error) { return m.Adapter.SetMetadata(ctx, r, mark, title, md) })
}

func (m *meddler) Retire(ctx context.Context, r dam.Remote, mark dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
	return m.write(dam.OpRetire, mark.AssetID, func() (dam.Remote, error) { return m.Adapter.Retire(ctx, r, mark, mode) })
}

func (m *meddler) write(op dam.Op, id string, do func() (dam.Remote, error)) (dam.Remote, error) {
	m.writes = append(m.writes, op)
	if m.before != nil {
		if err := m.before(op, id); err != nil {
			return dam.Remote{}, err
		}
	}
	r, err := do()
	if err == nil && m.after != nil {
		err = m.after(op, id)
	}
	return r, err
}

func (m *meddler) Abandon(_ context.Context, session []byte) {
	m.abandoned = append(m.abandoned, string(session))
}
