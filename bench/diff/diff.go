package main

import (
	"context"
	"fmt"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/internal/state"
	"damsync/store"
)

type options struct {
	assets   benchkit.Quantity
	small    benchkit.Quantity
	outdated int
}

const target = "brand"

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	return benchkit.WithDatabase(ctx, func(ctx context.Context, d *benchkit.Database) error {
		if err := d.FillMirror(ctx, int(o.small), target); err != nil {
			return err
		}
		var found differences
		small, err := benchkit.RunTask(ctx, "diff", d.URL, &found)
		if err != nil {
			return err
		}
		if err := d.Exec(ctx, `TRUNCATE damsync.asset, damsync.asset_detail, damsync.placement CASCADE`); err != nil {
			return err
		}
		return o.large(ctx, d, s, small)
	})
}

// large measures the large mirror and compares it with the small one.
func (o *options) large(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet, small benchkit.Usage) error {
	if err := d.FillMirror(ctx, int(o.assets), target); err != nil {
		return err
	}
	if err := d.Exec(ctx, `UPDATE damsync.placement SET desired_path = '/old' WHERE asset_id IN (SELECT md5((i * ($1::int / $2::int))::text) FROM generate_series(1, $2::int) i)`,
		int(o.assets), o.outdated); err != nil {
		return err
	}
	scans, err := indexScans(ctx, d)
	if err != nil {
		return err
	}
	var found differences
	used, err := benchkit.RunTask(ctx, "diff", d.URL, &found)
	if err != nil {
		return err
	}
	s.Exactly(float64(o.outdated), "differences found", float64(found.Differ), "placements")
	s.Info("evaluated", float64(found.Evaluated)/used.Wall.Seconds(), "assets/s")
	s.Info("time of the pass", used.Wall.Seconds(), "s")
	s.Info("processor time of the process", used.CPU.Seconds(), "s")
	s.Info("time / two index-only scans", used.Wall.Seconds()/scans.Seconds(), "")
	s.AtMost(32, "resident memory at its peak", benchkit.MiB(used.Peak), "MiB")
	s.AtMost(1.2, "memory / that of the small mirror", float64(used.Peak)/float64(small.Peak), "")
	return nil
}

// indexScans times reading the ids of both tables.
func indexScans(ctx context.Context, d *benchkit.Database) (time.Duration, error) {
	began := time.Now()
	var n int
	err := d.Pool.QueryRow(ctx, `SELECT (SELECT count(id) FROM damsync.asset) + (SELECT count(asset_id) FROM damsync.placement)`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("scan indexes: %w", err)
	}
	return time.Since(began), nil
}

// differences is the result of the child process.
type differences struct{ Evaluated, Differ int }

// pageSize is how many assets the daemon evaluates at a time.
const pageSize = 1000

// diff evaluates the mirror at url as the daemon does, without changing a plan.
func diff(ctx context.Context, url string) (found differences, err error) {
	pool, err := store.Connect(ctx, url)
	if err != nil {
		return found, err
	}
	defer pool.Close()
	evaluate := func(_ time.Time, k state.Snapshot) state.Decisions {
		found.Evaluated++
		if d := k.Desired[target]; !d.Present || k.Detail == nil || d.Path != "/"+k.Asset.ID {
			found.Differ++
		}
		return state.Decisions{} // leaves the plan as it is
	}
	s := store.New(pool, "bench")
	for last := ""; ; {
		if last, err = s.PlanNext(ctx, state.Observation{Kind: state.KindPlan}, last, pageSize, evaluate); err != nil || last == "" {
			return found, err
		}
	}
}
