// Command audit counts the requests an audit needs to find assets that a library has lost.
//
//	go run ./bench/audit -n 1e6 --del 1 --seeds 20
//	go run ./bench/audit -n 1e6 --del 1000 --clustered --seeds 5
//	go run ./bench/audit -n 1e6 --del 1e5 --seeds 1
//	go run ./bench/audit -n 1e5 --del 10 --tie 5000
//	go run ./bench/audit -n 2e4 --del 10 --edits 0.1 --seeds 100
//
// It deletes assets of a library in memory and lets the daemon's audit find them. The clock is
// virtual; the figures depend on the seeds alone.
//
// Bounds, where N assets are N/100 requests when read in full: every deleted asset is found and no
// living one suspected; one request when nothing changed; 1.15 × log2(N/100) for one deletion, the
// limit being a binary search; 1 % of N/100 for deletions in runs; otherwise 1.2 × N/100. With ties
// or edits the requests have no bound.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{assets: 1_000_000, deleted: 1, seeds: 20}
	flag.Var(&o.assets, "n", "assets of the library")
	flag.Var(&o.deleted, "del", "assets to delete")
	flag.Var(&o.seeds, "seeds", "number of audits, each with other deletions")
	flag.Var(&o.tie, "tie", "a third of the library are imports of this many assets in one second")
	flag.BoolVar(&o.clustered, "clustered", false, "delete runs of 20 to 420 neighbours")
	flag.Float64Var(&o.edits, "edits", 0, "changes by editors per request")
	os.Exit(benchkit.Main(o.run, nil))
}
