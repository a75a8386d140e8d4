// Command transfer measures how files get from a web server to S3, compared with rclone.
//
//	go run ./bench/transfer
//	go run ./bench/transfer --reps 3 distant
//	go run ./bench/transfer --rate 20000000 distant
//	go run ./bench/transfer --files 4 --alone large
//
// It moves files from a local web server to versitygw with the daemon's client, decorators and S3
// adapter and, in turn, with rclone when that is in the PATH. Each run has processes of its own for
// the source, the store and the program measured; all share the machine's cores, so what source and
// store use is taken from both programs alike. The store is a directory below TMPDIR.
//
//	large      20 files of 500 MB, 4 workers. Bounds: 1.7 times rclone's throughput, 0.6 times its
//	           processor time per GB, 32 MB resident
//	distant    1,000 files of 1 MB, 16 workers, 50 ms to the source's first byte and to each answer
//	           of a store that discards the bytes. Bounds: 2.3 times rclone's throughput, 0.9 of the
//	           files per second that the delays allow, 1.05 requests to the store per file
//	small      2,000 files of 1 MB, 64 workers. Bounds: rclone's throughput, 40 MB resident
//	checksums  4 files of 500 MB with each of the adapter's checksums, without rclone
//
// Without names all scenarios run. A ratio compares runs of the same round; the figures are medians
// of all rounds.
package main

import (
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	var o options
	flag.BoolVar(&o.alone, "alone", false, "do not compare with rclone")
	flag.IntVar(&o.rounds, "reps", 3, "rounds")
	flag.IntVar(&o.files, "files", 0, "another number of files")
	flag.Int64Var(&o.size, "size", 0, "another file size, in `BYTES`")
	flag.Int64Var(&o.rate, "rate", 0, "`BYTES` per second of each stream from the source; 0 is no limit")
	flag.IntVar(&o.workers, "workers", 0, "another number of workers")
	os.Exit(benchkit.Main(o.run, parts()))
}

func parts() benchkit.Parts {
	return benchkit.Parts{
		"source": benchkit.Service(serveSource), "sink": benchkit.Service(serveSink), "push": benchkit.Task(push),
	}
}
