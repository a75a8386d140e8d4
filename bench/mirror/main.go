// Command mirror measures how fast the daemon mirrors a library through its real client and store.
//
//	go run ./bench/mirror -n 1e5
//
// It sweeps a simulated library without limits into an empty mirror, and again when nothing has
// changed. A rule that the summary decides makes planning part of it. Simulator and daemon run as
// child processes; they share the machine's cores with PostgreSQL.
//
// Bounds: every asset is mirrored, and none changed by the second pass; the first pass reaches 10
// times the API's best pace of 1,000 assets/s; at most 40 MiB resident.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{assets: 100_000}
	flag.Var(&o.assets, "n", "assets of the library")
	os.Exit(benchkit.Main(o.run, benchkit.Parts{
		"library": benchkit.Service(serveLibrary), "mirror": benchkit.Task(mirror),
	}))
}
