package sync

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"damsync/cmp/cmpsim"
	"damsync/internal/httpserver"
	"damsync/internal/pgtest"
	"damsync/internal/secret"
	"damsync/store"
	"damsync/sync/loop"
	"damsync/sync/plan"
)

// tb is what the harness needs of a test, a benchmark or a rapid check.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is a simulated CMP, a database and the targets' directories, with any number of replicas that come and go.
type world struct {
	tb
	sim      *cmpsim.Simulator
	at       cmpsim.Endpoints
	url      string // of the database
	pool     *pgxpool.Pool
	store    *store.Store
	instance string
	specs    []plan.Spec
	dir      string
	ledger   store.LedgerConfig
	month    int64 // Options.MonthLimit
	schedule Schedule
	adapters *watchedAdapters
	key      secret.Key
	replicas []*replica
	made     int
	stops    []func()
	digests  map[string]string // by asset and version
}

// worldOptions specifies how a world differs from the usual one: 120 assets, no limits, two targets, a poll each second.
type worldOptions struct {
	sim      cmpsim.Options
	specs    []plan.Spec
	ledger   store.LedgerConfig
	schedule *Schedule
}

// newWorld starts the simulator and the receiver of webhooks. t owns the database and the directory; failures go to check.
func newWorld(t testing.TB, check tb, o worldOptions) *world {
	if o.specs == nil {
		o.specs = usualSpecs()
	}
	if o.ledger.PerSecond == 0 {
		o.ledger = store.LedgerConfig{PerSecond: 5000, PerMonth: 1_000_000}
	}
	if o.sim.Assets == 0 {
		o.sim.Assets = 120
	}
	if o.schedule == nil {
		o.schedule = &Schedule{Incremental: "@every 1s"}
	}
	o.sim.Webhooks.RetryBase = 100 * time.Millisecond
	o.sim.Webhooks.Workers = 4
	w := &world{
		tb: check, sim: cmpsim.New(o.sim), url: pgtest.URL(t), specs: o.specs, ledger: o.ledger, schedule: *o.schedule,
		month: o.ledger.PerMonth, adapters: &watchedAdapters{}, key: testKey(t),
	}
	w.dir = tempDir(t)
	ctx := context.Background()
	var err error
	if w.at, err = w.sim.Start(ctx, "127.0.0.1:0"); err != nil {
		check.Fatalf("start simulator: %v", err)
	}
	w.stops = append(w.stops, func() { _ = w.sim.Close() })
	if w.pool, err = pgxpool.New(ctx, w.url); err != nil {
		check.Fatalf("open pool: %v", err)
	}
	w.stops = append(w.stops, w.pool.Close)
	w.store = store.New(w.pool, "the test")
	if w.instance, err = w.store.Instance(ctx); err != nil {
		check.Fatalf("%v", err)
	}
	w.receive(ctx)
	return w
}

// tempDir returns a directory that is removed at the end, whatever the adapters leave in it.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "damsync-sync-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func testKey(t testing.TB) secret.Key {
	key, err := secret.LoadKey(func(string) (string, bool) {
		return "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", true
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// receive runs the webhook receiver for as long as the world exists, as if one daemon never ended.
func (w *world) receive(ctx context.Context) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatalf("listen: %v", err)
	}
	server := httpserver.New(httpserver.Options{
		WebhookPath: "/webhooks/cmp", WebhookSecret: secret.New(w.at.WebhookSecret), Inbox: inbox{w.store}, Log: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	w.stops = append(w.stops, func() {
		cancel()
		if err := <-done; err != nil {
			w.Logf("webhook receiver: %v", err)
		}
	})
	hook := cmpsim.Webhook{URL: "http://" + listener.Addr().String() + "/webhooks/cmp"}
	if err := w.sim.RegisterWebhook(hook); err != nil {
		w.Fatalf("register webhook: %v", err)
	}
}

type inbox struct{ store *store.Store }

func (i inbox) Store(ctx context.Context, e httpserver.InboxEvent) error {
	return i.store.StoreEvent(ctx, store.Event(e))
}

// close stops everything; a running replica ends as on SIGTERM. Closing again does nothing.
func (w *world) close() {
	for _, r := range w.replicas {
		r.stop()
	}
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
	w.replicas, w.stops = nil, nil
}

// usualSpecs returns a target that reads everything and one that reads only summaries.
func usualSpecs() []plan.Spec {
	return []plan.Spec{brandSpec(), {
		Name: "photos",
		Select: plan.Select{
			Types: []string{"image", "raw_file"}, Folders: []string{"/Brand/Photography/**", "/Press/**"}, Expired: plan.ExpiredIgnore,
		},
		Path:         `{asset.id}.bin`,
		Metadata:     []plan.MetadataRule{{Key: "title", Expr: "asset.title"}},
		OnRemove:     plan.RemoveDelete,
		RemovalLimit: plan.RemovalLimit{Count: 100_000},
	}}
}

func brandSpec() plan.Spec {
	return plan.Spec{
		Name:   "brand",
		Select: plan.Select{Types: []string{"image"}, Folders: []string{"/Brand/**"}, Labels: map[string][]string{"Status": {"Approved"}}},
		Path:   `{asset.folder}/{asset.id}.bin`,
		Metadata: []plan.MetadataRule{
			{Key: "title", Expr: "asset.title"},
			{Key: "alt", Expr: "asset.alt_text"},
			{Key: "tags", Expr: "asset.tags"},
			{Key: "headline", Expr: `asset.fields["Headline"]`},
		},
		RemovalLimit: plan.RemovalLimit{Count: 100_000},
	}
}

func (w *world) root(target string) string { return filepath.Join(w.dir, target) }

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

func query[T any](w *world, sql string, args ...any) T {
	w.Helper()
	var v T
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually waits until check returns nil. After patience it fails with the last error and the state.
func (w *world) eventually(what string, patience time.Duration, check func() error) {
	w.Helper()
	deadline := time.Now().Add(patience)
	pause := loop.NewWakeup()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: not within %s: %v\n%s", what, patience, err, head(w.state(), 4000))
		}
		_ = pause.Wait(context.Background(), 40*time.Millisecond) // never ends with an error
	}
}

// state describes the work that the database has left.
func (w *world) state() string {
	return query[string](w, `SELECT concat_ws(E'\n',
		(SELECT string_agg(concat_ws(' ', 'lookup', asset_id, class, observation, requested, done, gone, attempts, next_attempt_at - now(), lease_owner, lease_until - now(), error), E'\n') FROM damsync.lookup),
		(SELECT string_agg(concat_ws(' ', 'placement', target, asset_id, desired_present, desired_path, desired_version, desired_generation, applied_generation, guard, applied_state, applied_path, attempts, next_attempt_at - now(), lease_owner, lease_until - now(), error), E'\n')
			FROM damsync.placement WHERE desired_generation > applied_generation),
		(SELECT string_agg(concat_ws(' ', 'target', name, epoch, problem, paused_until - now(), pause_reason), E'\n') FROM damsync.target),
		(SELECT string_agg(concat_ws(' ', 'observation', kind, now() - last_attempt, now() - last_success, error), E'\n') FROM damsync.observation),
		(SELECT string_agg(concat_ws(' ', 'run', id, kind, state, cursor, lease_owner, error), E'\n') FROM damsync.run WHERE state <> 'done'),
		(SELECT concat_ws(' ', 'epoch', epoch) FROM damsync.instance),
		(SELECT concat_ws(' ', 'paused', paused_until - now(), pause_reason) FROM damsync.pace),
		(SELECT string_agg(concat_ws(' ', 'lease', name, holder, until - now()), E'\n') FROM damsync.lease),
		(SELECT concat_ws(' ', 'inbox', count(*)) FROM damsync.inbox WHERE processed_at IS NULL))`)
}

func (w *world) name() string {
	w.made++
	return fmt.Sprintf("replica %d", w.made)
}
