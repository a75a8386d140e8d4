package sync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/dam"
	"damsync/dam/filesystem"
	"damsync/internal/grant"
	"damsync/internal/secret"
	"damsync/store"
	"damsync/sync/plan"
)

// replica is the engine of one daemon, with its own connections, client and store id.
type replica struct {
	w         *world
	id        string
	engine    *Engine
	life      *life
	pool      *pgxpool.Pool
	transport *http.Transport
	cancel    context.CancelFunc
	done      chan error
	ended     bool
}

// start makes a replica and runs it.
func (w *world) start() *replica {
	w.Helper()
	r := w.replica()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() { r.done <- r.engine.Serve(ctx) }()
	return r
}

// replica makes one without running it.
func (w *world) replica() *replica {
	w.Helper()
	r := &replica{w: w, id: w.name(), life: &life{conns: map[net.Conn]bool{}}}
	w.replicas = append(w.replicas, r)
	cfg, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.Fatalf("parse url: %v", err)
	}
	cfg.MaxConns = 8
	cfg.ConnConfig.DialFunc = r.life.dial
	if r.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		w.Fatalf("open pool: %v", err)
	}
	r.transport = &http.Transport{DialContext: r.life.dial, MaxIdleConnsPerHost: 16}
	s := store.New(r.pool, r.id)
	client := r.client(s)
	r.engine, err = New(Options{
		Library: client, Stores: storesOf(s), Instance: w.instance, Targets: r.targets(), Log: testLog(), Schedule: w.schedule,
		SlowPoll: 250 * time.Millisecond, MonthLimit: w.month, Budget: s.Ledger(w.ledger),
	})
	if err != nil {
		w.Fatalf("%v", err)
	}
	return r
}

func storesOf(s *store.Store) Stores {
	return Stores{
		Lease: s, Wakeups: s, Plan: s, References: s, Preview: s, Mirror: s, Polls: s, Bursts: s, Lookups: s, Audits: s, Details: s,
		Push: s, Guard: s, Backlog: s, Runs: s, Drift: s, Repairs: s,
	}
}

// testLog is silent unless DAMSYNC_TEST_LOG names a level.
func testLog() zerolog.Logger {
	level, err := zerolog.ParseLevel(os.Getenv("DAMSYNC_TEST_LOG"))
	if err != nil || os.Getenv("DAMSYNC_TEST_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000"}).Level(level).With().Timestamp().Logger()
}

func (r *replica) client(s *store.Store) *cmp.Client {
	sealer, err := secret.NewSealer(r.w.key)
	if err != nil {
		r.w.Fatalf("%v", err)
	}
	login, err := cmp.NewOAuth(cmp.OAuthOptions{
		Grant: cmp.GrantClientCredentials, ClientID: r.w.at.ClientID, ClientSecret: secret.New(r.w.at.ClientSecret),
		TokenURL: r.w.at.TokenURL, Store: tokenStore{s.Tokens(sealer, "test")}, Transport: r.transport,
	})
	if err != nil {
		r.w.Fatalf("%v", err)
	}
	client, err := cmp.New(cmp.Options{
		APIURL: r.w.at.APIURL, Tokens: login, Transport: r.transport, Grants: grant.NewDispatcher(s.Ledger(r.w.ledger)),
		RequestsPerSecond: r.w.ledger.PerSecond,
	})
	if err != nil {
		r.w.Fatalf("%v", err)
	}
	return client
}

type tokenStore struct{ tokens *store.Tokens }

func (s tokenStore) Update(ctx context.Context, fn func(context.Context, cmp.TokenSet) (cmp.TokenSet, error)) (cmp.TokenSet, error) {
	set, err := s.tokens.Update(ctx, func(ctx context.Context, old store.TokenSet) (store.TokenSet, error) {
		set, err := fn(ctx, cmp.TokenSet(old))
		return store.TokenSet(set), err
	})
	return cmp.TokenSet(set), err
}

func (r *replica) targets() []Target {
	var targets []Target
	for _, spec := range r.w.specs {
		rule, problems := plan.Compile(spec)
		if len(problems) > 0 {
			r.w.Fatalf("compile %s: %v", spec.Name, problems)
		}
		adapter, err := filesystem.New(map[string]any{"root": r.w.root(spec.Name)}, spec.Name, r.w.instance)
		if err != nil {
			r.w.Fatalf("%v", err)
		}
		targets = append(targets, Target{Rule: rule, Adapter: watchedAdapter{Adapter: adapter, target: spec.Name, life: r.life, all: r.w.adapters}})
	}
	return targets
}

// stop ends the replica as on SIGTERM.
func (r *replica) stop() {
	if r.ended {
		return
	}
	r.ended = true
	if r.cancel != nil {
		r.cancel()
		if err := <-r.done; err != nil && !r.life.ended() {
			r.w.Fatalf("%s ended with %v", r.id, err)
		}
	}
	r.pool.Close()
	r.transport.CloseIdleConnections()
}

// kill ends the replica as kill -9 does: its connections break at once. Its leases then expire.
func (r *replica) kill() {
	r.life.end()
	r.stop()
	r.expireLeases()
}

// expireLeases ends the replica's leases at once, as time would.
func (r *replica) expireLeases() {
	for _, table := range []string{"lookup", "run", "placement"} {
		r.w.exec(`UPDATE damsync.`+table+` SET lease_until = clock_timestamp() - interval '1 second'
			WHERE lease_owner = $1 OR lease_owner LIKE $1 || '#%'`, r.id)
	}
	r.w.exec(`UPDATE damsync.lease SET until = clock_timestamp() - interval '1 second' WHERE holder = $1`, r.id)
}

// life is the connections of a process, which break when it dies.
type life struct {
	mu     sync.Mutex
	dead   bool
	conns  map[net.Conn]bool
	writes int64 // left until the process dies; 0: unlimited
}

var errKilled = errors.New("the process was killed")

func (l *life) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.ended() {
		return nil, errKilled
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		_ = conn.Close() // never used
		return nil, errKilled
	}
	l.conns[conn] = true
	return mortal{conn, l}, nil
}

func (l *life) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for conn := range l.conns {
		_ = conn.Close() // as the kernel does
	}
	clear(l.conns)
}

// endAfter lets the process die in the middle of its n-th write from now.
func (l *life) endAfter(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = n
}

// spend counts a write and reports whether it may happen.
func (l *life) spend() bool {
	l.mu.Lock()
	last := l.writes == 1
	if l.writes > 0 {
		l.writes--
	}
	alive := !l.dead
	l.mu.Unlock()
	if last {
		l.end()
		return false
	}
	return alive
}

// mortal is a connection of a process.
type mortal struct {
	net.Conn
	life *life
}

func (c mortal) Write(p []byte) (int, error) {
	if !c.life.spend() {
		return 0, errKilled
	}
	return c.Conn.Write(p)
}

func (c mortal) Close() error {
	c.life.mu.Lock()
	delete(c.life.conns, c.Conn)
	c.life.mu.Unlock()
	return c.Conn.Close()
}

// watchedAdapters records the calls to the adapters of all replicas.
type watchedAdapters struct {
	calls   atomic.Int64
	mu      sync.Mutex
	retired []string // target and asset id
	hold    map[string]hold
}

// hold stops one put: it closes held and waits for release.
type hold struct{ held, release chan struct{} }

// holdOnce stops the next put of asset before it begins.
func (a *watchedAdapters) holdOnce(asset string, held, release chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hold = map[string]hold{asset: {held, release}}
}

func (a *watchedAdapters) wait(asset string) {
	a.mu.Lock()
	h, holds := a.hold[asset]
	delete(a.hold, asset)
	a.mu.Unlock()
	if holds {
		close(h.held)
		<-h.release
	}
}

func (a *watchedAdapters) retire(target, asset string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired = append(a.retired, target+" "+asset)
}

func (a *watchedAdapters) retirements() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.retired...)
}

// watchedAdapter counts calls and fails those of a dead process.
type watchedAdapter struct {
	dam.Adapter
	target string
	life   *life
	all    *watchedAdapters
}

func (a watchedAdapter) call() error {
	a.all.calls.Add(1)
	if a.life.ended() {
		return fmt.Errorf("call adapter: %w", errKilled)
	}
	return nil
}

func (a watchedAdapter) Check(ctx context.Context, populated bool) error {
	if err := a.call(); err != nil {
		return err
	}
	return a.Adapter.Check(ctx, populated)
}

func (a watchedAdapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if err := a.call(); err != nil {
		return dam.Remote{}, err
	}
	return a.Adapter.Find(ctx, key, hints)
}

func (a watchedAdapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	if err := a.call(); err != nil {
		return dam.Remote{}, err
	}
	a.all.wait(obj.Mark.AssetID)
	return a.Adapter.Put(ctx, obj, current)
}

func (a watchedAdapter) SetMetadata(ctx context.Context, r dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata) (dam.Remote, error) {
	if err := a.call(); err != nil {
		return dam.Remote{}, err
	}
	return a.Adapter.SetMetadata(ctx, r, mark, title, md)
}

func (a watchedAdapter) Move(ctx context.Context, r dam.Remote, mark dam.OwnerMark, path string) (dam.Remote, error) {
	if err := a.call(); err != nil {
		return dam.Remote{}, err
	}
	return a.Adapter.Move(ctx, r, mark, path)
}

func (a watchedAdapter) Retire(ctx context.Context, r dam.Remote, mark dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
	if err := a.call(); err != nil {
		return dam.Remote{}, err
	}
	a.all.retire(a.target, mark.AssetID)
	return a.Adapter.Retire(ctx, r, mark, mode)
}
