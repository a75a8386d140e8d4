// Command scan counts what a walk through the whole library misses while editors work.
//
//	go run ./bench/scan -n 1e6 --churn high --bulk 5000 --ties 3000
//
// It walks a library in memory as a sweep does while editors add, edit and delete assets and, at a
// random moment, a run of assets is deleted at once. It counts the requests, and the untouched living
// assets that the walk did not return. The clock is virtual; the figures depend on the seeds alone.
//
// Bounds, where N assets are N/100 requests at least: no asset missed; at most 1.05 × N/100 requests.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{assets: 1_000_000, bulk: 5000, ties: 3000, seeds: 1, churn: "high"}
	flag.Var(&o.assets, "n", "assets of the library")
	flag.Var(&o.bulk, "bulk", "assets deleted at once")
	flag.Var(&o.ties, "ties", "a tenth of the library are imports of this many assets in one second")
	flag.Var(&o.seeds, "seeds", "number of walks, each of another library")
	flag.StringVar(&o.churn, "churn", o.churn, "how much editors change: none, low or high")
	os.Exit(benchkit.Main(o.run, nil))
}
