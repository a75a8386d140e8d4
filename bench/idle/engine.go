package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/cmp"
	"damsync/dam/filesystem"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/store"
	"damsync/sync"
	"damsync/sync/plan"
	"damsync/sync/source"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
)

// serve lets an engine serve while nothing is due, and counts what it does.
func (o *options) serve(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet) error {
	statements := &statementCounter{}
	cfg, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		return fmt.Errorf("parse database url: %w", err)
	}
	cfg.ConnConfig.Tracer = statements
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer pool.Close()
	lib := &idleLibrary{}
	engine, err := idleEngine(ctx, store.New(pool, "daemon"), lib)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Serve(serving) }()
	err = o.watch(ctx, d, s, statements, lib)
	stop()
	if served := <-ended; err == nil {
		err = served
	}
	return err
}

// watch counts the statements and requests of an engine once it has planned everything.
func (o *options) watch(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet, statements *statementCounter, lib *idleLibrary) error {
	if err := waitPlanned(ctx, d); err != nil {
		return err
	}
	sent, requested := statements.n.Load(), lib.requests.Load()
	if err := sleep(ctx, o.rest); err != nil {
		return err
	}
	s.Info("statements of an idle daemon", float64(statements.n.Load()-sent)/o.rest.Seconds(), "per second")
	s.Exactly(0, "requests of an idle daemon", float64(lib.requests.Load()-requested), "")
	return nil
}

// waitPlanned waits until the engine has evaluated every asset, and then for its first look at
// everything that may be due.
func waitPlanned(ctx context.Context, d *benchkit.Database) error {
	const interval, firstLooks = time.Second, 10 * time.Second
	for planned := false; !planned; {
		if err := sleep(ctx, interval); err != nil {
			return err
		}
		err := d.Pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM damsync.target WHERE name = $1 AND fingerprint <> '')`, targetName).Scan(&planned)
		if err != nil {
			return fmt.Errorf("read state of planning: %w", err)
		}
	}
	return sleep(ctx, firstLooks)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// targetName is a target whose rule selects nothing.
const targetName = "nothing"

// idleEngine makes an engine whose observations have all just ended.
func idleEngine(ctx context.Context, s *store.Store, lib *idleLibrary) (*sync.Engine, error) {
	for _, kind := range []string{state.KindIncremental, state.KindSweep, state.KindReferences, state.KindAudit, state.KindAuditWindows} {
		if err := s.BeginObservation(ctx, kind); err != nil {
			return nil, err
		}
		if err := s.EndObservation(ctx, kind, nil, ""); err != nil {
			return nil, err
		}
	}
	rule, problems := plan.Compile(plan.Spec{
		Name: targetName, Select: plan.Select{Expired: plan.ExpiredIgnore, When: `asset.title == "no such title"`},
	})
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile rule: %v", problems)
	}
	adapter, err := filesystem.New(map[string]any{"root": "/nonexistent/damsync-bench"}, targetName, "bench")
	if err != nil {
		return nil, err
	}
	return sync.New(sync.Options{
		Library: lib, Instance: "bench", Log: zerolog.Nop(), Targets: []sync.Target{{Rule: rule, Adapter: adapter}},
		Stores: sync.Stores{
			Lease: s, Wakeups: s, Plan: s, References: s, Mirror: s, Polls: s, Bursts: s, Lookups: s, Audits: s,
			Push: s, Guard: s, Backlog: s, Runs: s,
		},
		Schedule: sync.Schedule{Incremental: "@every 1h", Audit: "@every 1h", Sweep: "@every 24h"},
	})
}

// statementCounter counts statements sent to the database.
type statementCounter struct{ n atomic.Int64 }

// TraceQueryStart implements pgx.QueryTracer.
func (c *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// idleLibrary is empty and counts requests.
type idleLibrary struct {
	source.Library // nil: an idle daemon does not use its other methods
	requests       atomic.Int64
}

func (l *idleLibrary) Assets(context.Context, cmp.AssetQuery) (cmp.AssetPage, error) {
	l.requests.Add(1)
	return cmp.AssetPage{}, nil
}

func (l *idleLibrary) Folders(context.Context) ([]library.Folder, error) {
	l.requests.Add(1)
	return nil, nil
}

func (l *idleLibrary) LabelGroups(context.Context) ([]library.LabelGroup, error) {
	l.requests.Add(1)
	return nil, nil
}
