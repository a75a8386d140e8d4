package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"damsync/internal/state"
	"damsync/store"

	"github.com/spf13/cobra"
)

type diffOptions struct {
	assets quantity
	small  quantity
	stale  int
}

func newDiff() *cobra.Command {
	o := diffOptions{assets: 1_000_000, small: 10_000, stale: 1800}
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Judge a whole mirror against its placements",
		Long: `diff judges each asset anew and compares what should be at a target with what is planned
there, as the daemon does when a rule changes: all that is known of an asset is read, in
pages by id. Some placements are out of date and have to be found. A process of its own does
it, whose memory is measured with a small mirror and with a large one. Beside it stands
the time of two index-only scans, which read nothing but ids.`,
		Example: "  go run ./bench diff -n 1e6",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error { return o.run(ctx, d, &s) }); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().VarP(&o.assets, "assets", "n", "assets of the mirror, and placements")
	cmd.Flags().Var(&o.small, "small", "assets of the small mirror")
	cmd.Flags().IntVar(&o.stale, "stale", o.stale, "placements out of date")
	return cmd
}

const diffTarget = "brand"

func (o *diffOptions) run(ctx context.Context, d *database, s *sheet) error {
	if err := fillMirror(ctx, d, int(o.small), diffTarget); err != nil {
		return err
	}
	small, _, err := measureDiff(ctx, d, 0)
	if err != nil {
		return err
	}
	if err := d.exec(ctx, `TRUNCATE damsync.asset, damsync.asset_detail, damsync.placement CASCADE`); err != nil {
		return err
	}
	if err := fillMirror(ctx, d, int(o.assets), diffTarget); err != nil {
		return err
	}
	if err := d.exec(ctx, `UPDATE damsync.placement SET desired_path = '/old' WHERE asset_id IN (SELECT md5((i * ($1::int / $2::int))::text) FROM generate_series(1, $2::int) i)`,
		int(o.assets), o.stale); err != nil {
		return err
	}
	scans, err := indexScans(ctx, d)
	if err != nil {
		return err
	}
	large, found, err := measureDiff(ctx, d, o.stale)
	if err != nil {
		return err
	}
	s.exactly(float64(o.stale), "differences found", float64(found.Differ), "placements")
	s.seen("judged", float64(found.Judged)/large.Took.Seconds(), "assets/s")
	s.seen("time of the pass", large.Took.Seconds(), "s")
	s.seen("processor time of the process", large.CPU.Seconds(), "s")
	s.seen("time / two index-only scans", large.Took.Seconds()/scans.Seconds(), "")
	s.atMost(32, "memory resident at its peak", mebibytes(large.Peak), "MiB")
	s.atMost(1.2, "memory / that of the small mirror", float64(large.Peak)/float64(small.Peak), "")
	return nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// indexScans reads the ids of both tables.
func indexScans(ctx context.Context, d *database) (time.Duration, error) {
	begun := time.Now()
	var n int
	err := d.pool.QueryRow(ctx, `SELECT (SELECT count(id) FROM damsync.asset) + (SELECT count(asset_id) FROM damsync.placement)`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("scan indexes: %w", err)
	}
	return time.Since(begun), nil
}

// diffFound is what the part says.
type diffFound struct {
	Judged, Differ int
}

func measureDiff(ctx context.Context, d *database, want int) (cost, diffFound, error) {
	var found diffFound
	cmd, err := childOf(ctx, "diff", d.url)
	if err != nil {
		return cost{}, found, err
	}
	c, said, err := measured(cmd)
	if err != nil {
		return c, found, err
	}
	if err := json.Unmarshal(said, &found); err != nil {
		return c, found, fmt.Errorf("read what was found: %w", err)
	}
	if found.Differ < want {
		return c, found, fmt.Errorf("%d of %d differences found", found.Differ, want)
	}
	return c, found, nil
}

// playDiff is the part of the daemon.
func playDiff(ctx context.Context, job []byte, _ io.Reader, stdout io.Writer) error {
	var url string
	if err := json.Unmarshal(job, &url); err != nil {
		return err
	}
	pool, err := store.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	found, err := diff(ctx, store.New(pool, "bench"))
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(found)
}

// diffPage is as many as the daemon judges at a time.
const diffPage = 1000

func diff(ctx context.Context, s *store.Store) (found diffFound, err error) {
	decide := func(_ time.Time, k state.Known) state.Verdict {
		found.Judged++
		if d := k.Desired[diffTarget]; !d.Present || k.Detail == nil || d.Path != "/"+k.Asset.ID {
			found.Differ++
		}
		return state.Verdict{} // found, and left
	}
	for last := ""; ; {
		if last, err = s.PlanNext(ctx, state.Observation{Kind: state.KindPlan}, last, diffPage, decide); err != nil || last == "" {
			return found, err
		}
	}
}
