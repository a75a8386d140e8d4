package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/store"
	"damsync/sync/loop"
	"damsync/sync/observe"
	"damsync/sync/plan"
	"damsync/sync/rules"
	"damsync/sync/source"

	"github.com/rs/zerolog"
)

type options struct{ assets benchkit.Quantity }

// apiPace is the API's best: ten pages of a hundred assets per second.
const apiPace = 1000.0

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	return benchkit.WithDatabase(ctx, func(ctx context.Context, d *benchkit.Database) error {
		var job mirrorJob
		simulator, err := benchkit.StartService(ctx, "library", int(o.assets), &job.Library)
		if err != nil {
			return err
		}
		job.Database = d.URL
		var passes []pass
		used, err := benchkit.RunTask(ctx, "mirror", job, &passes)
		if _, failed := simulator.Stop(nil); failed != nil || err != nil {
			return errors.Join(err, failed)
		}
		mirrored, err := d.Store.CountAssets(ctx)
		if err != nil {
			return err
		}
		s.Exactly(float64(o.assets), "assets mirrored", float64(mirrored), "")
		o.judge(s, passes[0], passes[1])
		s.AtMost(40, "resident memory at its peak", benchkit.MiB(used.Peak), "MiB")
		return nil
	})
}

func (o *options) judge(s *benchkit.Sheet, first, second pass) {
	assets := float64(o.assets)
	s.Exactly(0, "assets changed by the second pass", float64(second.Changed), "")
	s.Info("first pass", assets/first.Wall.Seconds(), "assets/s")
	s.AtLeast(10, "first pass / the API's pace", assets/first.Wall.Seconds()/apiPace, "")
	s.Info("unchanged pass", assets/second.Wall.Seconds(), "assets/s")
	s.Info("requests / (n/97)", float64(first.Requests)/(assets/97), "")
	s.Info("processor time, first pass", float64(first.CPU.Microseconds())/assets, "µs/asset")
	s.Info("processor time, unchanged pass", float64(second.CPU.Microseconds())/assets, "µs/asset")
}

// serveLibrary is the part of the simulator.
func serveLibrary(ctx context.Context, assets int) (cmpsim.Endpoints, func() (struct{}, error), error) {
	sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: assets})
	at, err := sim.Start(ctx, "127.0.0.1:0")
	return at, func() (struct{}, error) { return struct{}{}, sim.Close() }, err
}

// mirrorJob names a library and the database to mirror it to.
type mirrorJob struct {
	Database string
	Library  cmpsim.Endpoints
}

// pass is what one sweep took in the daemon's process.
type pass struct {
	Wall, CPU time.Duration
	Requests  int64
	Changed   int64
}

// mirror is the part of the daemon: it sweeps the library twice.
func mirror(ctx context.Context, job mirrorJob) ([]pass, error) {
	pool, err := store.Connect(ctx, job.Database)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	client, err := unlimitedClient(job.Library)
	if err != nil {
		return nil, err
	}
	sweeper, err := newSweeper(ctx, client, store.New(pool, "bench"))
	if err != nil {
		return nil, err
	}
	passes := make([]pass, 2)
	for i := range passes {
		if passes[i], err = sweep(ctx, sweeper); err != nil {
			return nil, err
		}
	}
	return passes, nil
}

// newSweeper wires what the engine wires for a sweep, and puts a rule in force that selects nothing.
func newSweeper(ctx context.Context, client *cmp.Client, s *store.Store) (*observe.Sweeper, error) {
	rule, problems := plan.Compile(plan.Spec{
		Name: "none", Select: plan.Select{Folders: []string{"/Brand/**"}, Expired: plan.ExpiredIgnore, When: `asset.title == "no such title"`},
	})
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile rule: %v", problems)
	}
	log, library := zerolog.Nop(), source.New(client, zerolog.Nop())
	set := rules.NewSet([]*plan.Target{rule}, plan.FolderOrder{}, func() {})
	planner := &rules.Planner{Rules: set, Store: s, Plan: loop.NewWakeup(), Changed: loop.NewWakeup(), Expiry: loop.NewWakeup(), Log: log}
	references := &rules.References{
		Library: library, Store: s, Planner: planner, Leading: func() bool { return true }, Wakeup: loop.NewWakeup(), Log: log,
	}
	if err := references.Refresh(ctx, grant.Manual); err != nil {
		return nil, err
	}
	m := &observe.Mirror{Store: s, Source: library, Rules: set, References: references, Log: log}
	return &observe.Sweeper{Mirror: m, Runs: s, Poller: &observe.Poller{Mirror: m, Polls: s}, Wakeup: loop.NewWakeup()}, nil
}

func sweep(ctx context.Context, sweeper *observe.Sweeper) (pass, error) {
	began, used := time.Now(), processorTime()
	p, err := sweeper.Sweep(ctx, observe.SweepOptions{Class: grant.Backfill})
	return pass{Wall: time.Since(began), CPU: processorTime() - used, Requests: p.Requests, Changed: p.Changed}, err
}

// processorTime returns what this process has used; 0 where the system does not say.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
