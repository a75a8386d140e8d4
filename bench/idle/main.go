// Command idle measures what a daemon costs that has nothing to do.
//
//	go run ./bench/idle -n 1e5
//
// It fills a mirror in which everything is in sync, times how long it takes to find that nothing is
// to be pushed or looked up, and times the counts of created_at windows that audits need. Then it
// lets the engine serve with nothing due and counts its statements and requests.
//
// Bounds, medians of a hundred calls: at most 5 ms to find no work, at most 10 ms to count a window
// or to find where to cut; no request of an idle daemon.
package main

import (
	"flag"
	"os"
	"time"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{assets: 1_000_000, rest: 30 * time.Second}
	flag.Var(&o.assets, "n", "assets of the mirror")
	flag.DurationVar(&o.rest, "rest", o.rest, "how long to watch the idle daemon")
	os.Exit(benchkit.Main(o.run, nil))
}
