package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"damsync/sync/audit/audittest"
	"damsync/sync/walk"
)

type scanOptions struct {
	n, bulk, ties, seeds quantity
	churn                string
}

// churns are changes for each request: what ten requests a second leave of so many a day.
func churns() map[string]float64 {
	return map[string]float64{"none": 0, "low": 12_000.0 / 864_000, "high": 120_000.0 / 864_000}
}

func newScan() *cobra.Command {
	o := scanOptions{n: 1_000_000, bulk: 5000, ties: 3000, seeds: 1, churn: "high"}
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Read a whole library by key while editors work, and count what is missed",
		Long: `scan walks a library in memory as a sweep does, while editors add, edit and delete, and
somebody deletes a run of assets midway. It counts the requests, and the living assets that
nobody touched and the walk has not seen. The clock is virtual, the figures
depend on the seeds alone.`,
		Example: "  go run ./bench scan -n 1e6 --churn high --bulk 5000 --ties 3000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := o.run(cmd.Context(), &s); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().VarP(&o.n, "n", "n", "assets of the library")
	cmd.Flags().Var(&o.bulk, "bulk", "assets deleted at once, midway")
	cmd.Flags().Var(&o.ties, "ties", "a tenth of the library are imports of so many assets in one second")
	cmd.Flags().Var(&o.seeds, "seeds", "how many histories")
	cmd.Flags().StringVar(&o.churn, "churn", o.churn, "how much editors change: none, low or high")
	return cmd
}

func (o *scanOptions) run(ctx context.Context, s *sheet) error {
	rate, known := churns()[o.churn]
	if !known {
		return fmt.Errorf("--churn %q: none, low or high", o.churn)
	}
	missed, requests := 0, 0
	for seed := range uint64(o.seeds) {
		m, n, err := o.scan(ctx, seed, rate)
		if err != nil {
			return fmt.Errorf("scan with seed %d: %w", seed, err)
		}
		missed += m
		requests += n
	}
	s.exactly(0, "living assets missed", float64(missed), "")
	s.atMost(1.05, "requests / full scan", float64(requests)/float64(o.seeds)/(float64(o.n)/100), "")
	return nil
}

// scan walks one library and counts the living assets that nobody touched and it did not see.
func (o *scanOptions) scan(ctx context.Context, seed uint64, rate float64) (missed, requests int, err error) {
	r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a seed has to give the same again
	l := modelLibrary(int(o.n), int(o.ties), 10, r)
	e := editor{Library: l, r: r, rate: rate, touched: map[int]bool{}}
	midway := r.IntN(int(o.n)/100 + 1)
	l.Before = func() {
		e.step(l.Requests)
		if l.Requests == midway && o.bulk > 0 {
			from := r.IntN(max(1, int(o.n)-int(o.bulk)))
			for i := from; i < min(from+int(o.bulk), int(o.n)); i++ {
				e.touched[i] = true
				l.Delete(i)
			}
		}
	}
	seen := map[int]bool{}
	w, c := walk.Walker{Library: l}, walk.Cursor{}
	for unstable := 0; ; {
		span, next, err := w.Step(ctx, c)
		if errors.Is(err, walk.ErrUnstable) && unstable < 100 {
			unstable++
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		for _, it := range span.Items {
			seen[audittest.Place(it.ID)] = true
		}
		if span.End {
			break
		}
		c = next
	}
	for i := range l.Made() {
		if l.Alive(i) && !e.touched[i] && !seen[i] {
			missed++
		}
	}
	return missed, l.Requests, nil
}
