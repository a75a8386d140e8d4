// Command upsert measures how fast the store writes pages of the library to the mirror.
//
//	go run ./bench/upsert --rows 300000 --nochange
//
// In turn it writes the same rows page by page with the daemon's store, with COPY into a table of
// the same shape, and some of them row by row, each with a commit of its own. With --nochange it
// then applies the unchanged library once more and counts the WAL that this writes.
//
// Bounds: pages reach 0.55 of COPY and 7 times row by row; an unchanged row writes at most 1 byte of
// WAL; the unchanged pass is at least 4 times as fast as the first.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := options{rows: 300_000}
	flag.Var(&o.rows, "rows", "assets of the library")
	flag.BoolVar(&o.noChange, "nochange", false, "apply the unchanged library again")
	os.Exit(benchkit.Main(o.run, nil))
}
