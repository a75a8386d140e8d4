package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spf13/cobra"

	"damsync/sync/audit"
	"damsync/sync/audit/audittest"
)

type auditOptions struct {
	n, del, seeds, tie quantity
	clustered          bool
	edits              float64
}

func newAudit() *cobra.Command {
	o := auditOptions{n: 1_000_000, del: 1, seeds: 20}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Count what it costs to find what a library has lost",
		Long: `audit deletes assets of a library in memory and lets the daemon's audit find them: the
requests, against those of reading the library in full and against what a binary
search takes at least. The clock is virtual, the figures depend on the seeds alone.`,
		Example: `  go run ./bench audit -n 1e6 --del 1 --seeds 20
  go run ./bench audit -n 1e6 --del 1000 --clustered
  go run ./bench audit -n 1e6 --del 1e5 --seeds 1
  go run ./bench audit -n 1e6 --del 10 --tie 5000
  go run ./bench audit -n 2e4 --del 10 --edits 0.1 --seeds 100`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := o.run(cmd.Context(), &s); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().VarP(&o.n, "n", "n", "assets of the library")
	cmd.Flags().Var(&o.del, "del", "assets that are deleted")
	cmd.Flags().Var(&o.seeds, "seeds", "how often, each with other assets")
	cmd.Flags().Var(&o.tie, "tie", "a third of the library are imports of so many assets in one second")
	cmd.Flags().BoolVar(&o.clustered, "clustered", false, "delete runs of 20 to 420 neighbours")
	cmd.Flags().Float64Var(&o.edits, "edits", 0, "changes by editors for each request")
	return cmd
}

// audited is what the audits of all seeds have seen.
type audited struct {
	requests        []int
	missed, falsely int // assets gone and not found; assets that live, taken for gone
	incomplete      int
}

func (o *auditOptions) run(ctx context.Context, s *sheet) error {
	seen, err := o.audit(ctx)
	if err != nil {
		return err
	}
	slices.Sort(seen.requests)
	median := float64(seen.requests[len(seen.requests)/2]+seen.requests[(len(seen.requests)-1)/2]) / 2
	full := float64(o.n) / 100
	s.seen("a full scan", full, "requests")
	if o.edits > 0 { // what is deleted meanwhile is for the next audit
		s.seen("audit under edits, median", median, "requests")
		s.seen("audits that did not come to rest", float64(seen.incomplete), "")
		s.exactly(0, "living assets taken for deleted", float64(seen.falsely), "")
		return nil
	}
	s.exactly(0, "deleted assets not found", float64(seen.missed), "")
	s.exactly(0, "living assets taken for deleted", float64(seen.falsely), "")
	switch {
	case o.del == 0:
		s.exactly(1, "audit, nothing changed", median, "requests")
	case o.tie > 0:
		s.seen("audit, median", median, "requests")
	case o.del == 1:
		s.atMost(1.15, "audit, median / log2(n/100)", median/math.Log2(full), "")
		s.seen("audit, median", median, "requests")
	case o.clustered:
		s.atMost(0.01, "audit, median / full scan", median/full, "")
		s.seen("audit, median", median, "requests")
	default:
		s.atMost(1.2, "audit, median / full scan", median/full, "")
		s.seen("audit, median", median, "requests")
	}
	return nil
}

// audit makes the library once and audits it for each seed with other deletions.
func (o *auditOptions) audit(ctx context.Context) (audited, error) {
	var seen audited
	l := modelLibrary(int(o.n), int(o.tie), 33, rand.New(rand.NewPCG(1, uint64(o.n)))) //nolint:gosec // a seed has to give the same again
	m := audittest.NewMirror(l)
	for seed := range uint64(o.seeds) {
		r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // likewise
		m.Copy()
		gone := drawDeleted(int(o.del), int(o.n), o.clustered, r)
		for _, i := range gone {
			l.Delete(i)
		}
		e := editor{Library: l, r: r, rate: o.edits, touched: map[int]bool{}}
		if l.Before = nil; o.edits > 0 {
			l.Before = func() { e.step(l.Requests) }
		}
		a := audit.Auditor{Library: l, Mirror: m, Bounds: audit.Bounds{Known: true}}
		report, err := a.Whole(ctx)
		if err != nil {
			return seen, fmt.Errorf("audit with seed %d: %w", seed, err)
		}
		seen.add(report, gone, &e)
		for i := range l.Made() {
			if !l.Alive(i) {
				l.Return(i)
			}
		}
	}
	return seen, nil
}

func (a *audited) add(report audit.Report, gone []int, e *editor) {
	a.requests = append(a.requests, report.Requests)
	if !report.Complete {
		a.incomplete++
	}
	suspects := make(map[int]bool, len(report.Suspects))
	for _, id := range report.Suspects {
		i := audittest.Place(id)
		suspects[i] = true
		if e.Alive(i) && !e.touched[i] {
			a.falsely++
		}
	}
	for _, i := range gone {
		if !suspects[i] && !e.touched[i] {
			a.missed++
		}
	}
}
