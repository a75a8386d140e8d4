package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"damsync/cmp"
	"damsync/dam/filesystem"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/store"
	"damsync/sync"
	"damsync/sync/plan"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

type idleOptions struct {
	assets quantity
	rest   time.Duration
}

func newIdle() *cobra.Command {
	o := idleOptions{assets: 1_000_000, rest: 30 * time.Second}
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Look for work where there is none, and watch a daemon at rest",
		Long: `idle fills a mirror in which everything is in sync, and measures how long it takes to find
that nothing is to be pushed or looked up, and to count windows of created_at as audits do. Then
it lets the engine serve, with nothing due, and counts its statements and requests.`,
		Example: "  go run ./bench idle -n 1e6",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error { return o.run(ctx, d, &s) }); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().VarP(&o.assets, "assets", "n", "assets of the mirror")
	cmd.Flags().DurationVar(&o.rest, "rest", o.rest, "how long to watch the daemon")
	return cmd
}

func (o *idleOptions) run(ctx context.Context, d *database, s *sheet) error {
	if err := fillMirror(ctx, d, int(o.assets), "brand", "shop"); err != nil {
		return err
	}
	claim, err := median(func() error {
		work, err := d.store.ClaimPlacements(ctx, "brand", 8, time.Minute)
		if err == nil && len(work) > 0 {
			err = fmt.Errorf("%d placements are dirty", len(work))
		}
		return err
	})
	if err != nil {
		return err
	}
	lookup, err := median(func() error {
		_, err := d.store.ClaimLookups(ctx, 8, time.Minute)
		return err
	})
	if err != nil {
		return err
	}
	s.atMost(5, "nothing to push", milliseconds(claim), "ms")
	s.atMost(5, "nothing to look up", milliseconds(lookup), "ms")
	if err := o.windows(ctx, d, s); err != nil {
		return err
	}
	return o.atRest(ctx, d, s)
}

// windows counts what audits count: windows of all sizes, and where they are cut.
func (o *idleOptions) windows(ctx context.Context, d *database, s *sheet) error {
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same windows each time
	now, err := d.store.Now(ctx)
	if err != nil {
		return err
	}
	span := time.Duration(o.assets) * time.Minute // of created_at, see fillMirror
	window := func() (from, to time.Time) {
		size := span >> r.IntN(14)
		from = now.Add(-span + time.Duration(r.Int64N(int64(span-size)+1))).Truncate(time.Second)
		return from, from.Add(size)
	}
	counted, err := median(func() error {
		from, to := window()
		_, err := d.store.CountWindow(ctx, from, to)
		return err
	})
	if err != nil {
		return err
	}
	cut, err := median(func() error {
		_, err := d.store.NthCreated(ctx, time.Time{}, time.Time{}, r.IntN(int(o.assets)))
		return err
	})
	if err != nil {
		return err
	}
	s.atMost(10, "a window counted", milliseconds(counted), "ms")
	s.atMost(10, "where to cut the whole", milliseconds(cut), "ms")
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median is of many calls, the first of which warm the caches.
func median(do func() error) (time.Duration, error) {
	const calls, warm = 101, 5
	var took []time.Duration
	for i := range calls + warm {
		begun := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		if i >= warm {
			took = append(took, time.Since(begun))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// atRest lets an engine serve when nothing is due.
func (o *idleOptions) atRest(ctx context.Context, d *database, s *sheet) error {
	statements := &statementCounter{}
	cfg, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return fmt.Errorf("parse database url: %w", err)
	}
	cfg.ConnConfig.Tracer = statements
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer pool.Close()
	lib := &restingLibrary{}
	engine, err := restingEngine(ctx, store.New(pool, "daemon"), lib)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Serve(serving) }()
	err = o.watch(ctx, d, statements, lib, s)
	stop()
	if served := <-ended; err == nil {
		err = served
	}
	return err
}

func (o *idleOptions) watch(ctx context.Context, d *database, statements *statementCounter, lib *restingLibrary, s *sheet) error {
	if err := planned(ctx, d); err != nil {
		return err
	}
	before := statements.n.Load()
	if err := sleep(ctx, o.rest); err != nil {
		return err
	}
	s.seen("statements of a daemon at rest", float64(statements.n.Load()-before)/o.rest.Seconds(), "a second")
	s.exactly(0, "requests of a daemon at rest", float64(lib.requests.Load()), "")
	return nil
}

// planned waits until the daemon has judged every asset by its rule, and looked at everything once.
func planned(ctx context.Context, d *database) error {
	const often, settling = time.Second, 10 * time.Second
	for done := false; !done; {
		if err := sleep(ctx, often); err != nil {
			return err
		}
		err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM damsync.target WHERE name = $1 AND fingerprint <> '')`, idleTarget).Scan(&done)
		if err != nil {
			return fmt.Errorf("look what is planned: %w", err)
		}
	}
	return sleep(ctx, settling)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idleTarget has a rule that selects nothing.
const idleTarget = "nothing"

// restingEngine has all observations behind it.
func restingEngine(ctx context.Context, s *store.Store, lib *restingLibrary) (*sync.Engine, error) {
	for _, kind := range []string{state.KindIncremental, state.KindSweep, state.KindReferences, state.KindAudit, state.KindAuditWindows} {
		if err := s.BeginObservation(ctx, kind); err != nil {
			return nil, err
		}
		if err := s.EndObservation(ctx, kind, nil, ""); err != nil {
			return nil, err
		}
	}
	rule, problems := plan.Compile(plan.Spec{
		Name: idleTarget, Select: plan.Select{Expired: plan.ExpiredIgnore, When: `asset.title == "no such title"`},
	})
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile rule: %v", problems)
	}
	adapter, err := filesystem.New(map[string]any{"root": "/nonexistent/damsync-bench"}, idleTarget, "bench")
	if err != nil {
		return nil, err
	}
	return sync.New(sync.Options{
		Library: lib, Store: s, Instance: "bench", Log: zerolog.Nop(), Targets: []sync.Target{{Rule: rule, Adapter: adapter}},
		Schedule: sync.Schedule{Incremental: "@every 1h", Audit: "@every 1h", Sweep: "@every 24h"},
	}), nil
}

// statementCounter counts what is sent to the database.
type statementCounter struct{ n atomic.Int64 }

// TraceQueryStart implements pgx.QueryTracer.
func (c *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// restingLibrary is not to be asked.
type restingLibrary struct {
	sync.Library
	requests atomic.Int64
}

func (l *restingLibrary) Assets(context.Context, cmp.AssetQuery) (cmp.AssetPage, error) {
	l.requests.Add(1)
	return cmp.AssetPage{}, cmp.ErrTemporary
}

func (l *restingLibrary) Folders(context.Context) ([]library.Folder, error) {
	l.requests.Add(1)
	return nil, cmp.ErrTemporary
}
