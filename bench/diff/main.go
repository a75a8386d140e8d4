// Command diff measures how the daemon evaluates a whole mirror against its placements.
//
//	go run ./bench/diff -n 1e6
//
// It evaluates every asset and compares what a target should hold with what is planned there, as the
// daemon does when a rule changes: page by page in order of id, with everything known of an asset.
// Some placements are out of date and have to be found. A child process does it; its memory is
// measured with a small and with a large mirror. For comparison it times two index-only scans, which
// read nothing but ids.
//
// Bounds: all outdated placements are found; at most 32 MiB resident; memory grows at most 1.2 times
// from the small mirror to the large one.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{assets: 1_000_000, small: 10_000, outdated: 1800}
	flag.Var(&o.assets, "n", "assets of the mirror, and placements")
	flag.Var(&o.small, "small", "assets of the small mirror")
	flag.IntVar(&o.outdated, "outdated", o.outdated, "placements out of date")
	os.Exit(benchkit.Main(o.run, benchkit.Parts{"diff": benchkit.Task(diff)}))
}
