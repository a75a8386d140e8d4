package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// transferOptions are the flags of the program.
type transferOptions struct {
	peer     string
	peerArgs []string
	reps     int
	checksum []string
	files    int
	size     int64
	workers  int
	rate     int64
}

func newTransfer() *cobra.Command {
	var o transferOptions
	cmd := &cobra.Command{
		Use:   "transfer [large|distant|small|checksums]...",
		Short: "Move files from a web server to S3, in turn with rclone",
		Long: `transfer moves files from a local web server to versitygw, with the client, the
decorators and the S3 adapter of the daemon, and in turn with rclone when it is in
the PATH. Each runs in a process of its own, and all share the machine's cores: what
source and store use is taken from both alike. The store is a directory below TMPDIR.

  large      20 files of 500 MB
  distant    1,000 files of 1 MB, 50 ms to the first byte and 50 ms to each answer of
             the store, which keeps no bytes; --rate 20000000 also limits the streams
  small      2,000 files of 1 MB, 64 workers
  checksums  4 files of 500 MB with each of the adapter's checksums, no peer

Without a name all run. Ratios are of the runs of one round; medians are of all rounds.`,
		Example: `  go run ./bench transfer --reps 3
  go run ./bench transfer large --files 4 --peer none
  go run ./bench transfer distant --peer-args --http-no-head,--s3-no-head`,
		ValidArgs: []string{"large", "distant", "small", "checksums"},
		Args:      cobra.OnlyValidArgs,
		RunE:      func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.peer, "peer", "rclone", "whom to compare with: rclone or none")
	f.StringSliceVar(&o.peerArgs, "peer-args", nil, "more `FLAGS` for the peer")
	f.IntVar(&o.reps, "reps", 3, "rounds")
	f.StringSliceVar(&o.checksum, "checksum", []string{"sha256"}, "checksums of the adapter to run with: sha256, crc32c, none")
	f.IntVar(&o.files, "files", 0, "another number of files")
	f.Int64Var(&o.size, "size", 0, "another size of the files, in `BYTES`")
	f.Int64Var(&o.rate, "rate", 0, "`BYTES` a second of each stream from the source; 0 is no limit")
	f.IntVarP(&o.workers, "workers", "w", 0, "another number of workers")
	return cmd
}

// scenarios have the daemon's number of workers where none is asked for.
func scenarios() []scenario {
	return []scenario{
		{
			name: "large", files: 20, size: 500_000_000, workers: 4,
			bounds: bounds{throughput: 1.7, cpu: 0.6, resident: 32},
		},
		{
			name: "distant", files: 1000, size: 1_000_000, workers: 16, wait: 50 * time.Millisecond,
			bounds: bounds{throughput: 2.3, limit: 0.9, requests: 1.05},
		},
		{
			name: "small", files: 2000, size: 1_000_000, workers: 64,
			bounds: bounds{throughput: 1, resident: 40},
		},
		{name: "checksums", files: 4, size: 500_000_000, workers: 4},
	}
}

func (o transferOptions) run(cmd *cobra.Command, names []string) error {
	if o.reps < 1 {
		return fmt.Errorf("--reps %d: want 1 or more", o.reps)
	}
	if o.peer != rclone && o.peer != "none" {
		return fmt.Errorf("--peer %s: want rclone or none", o.peer)
	}
	if o.peer == rclone {
		if _, err := exec.LookPath(rclone); err != nil {
			cmd.Println("no rclone in the PATH: nothing to compare with")
			o.peer = "none"
		}
	}
	var figures sheet
	for _, s := range scenarios() {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		s = o.sized(s)
		runs, err := o.measure(cmd, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		s.compare(&figures, runs)
	}
	return figures.report(cmd)
}

// compare notes the figures of all arms; the peer is the last.
func (c scenario) compare(on *sheet, runs []rounds) {
	var peer *rounds
	if last := len(runs) - 1; runs[last].arm == rclone {
		peer = &runs[last]
	}
	for _, r := range runs {
		c.judge(on, r, peer)
	}
}

func (o transferOptions) sized(s scenario) scenario {
	s.rate = o.rate
	if o.files > 0 {
		s.files = o.files
	}
	if o.size > 0 {
		s.size = o.size
	}
	if o.workers > 0 {
		s.workers = o.workers
	}
	return s
}

func (o transferOptions) arms(s scenario) []arm {
	checksums, with := o.checksum, o.peer
	if s.name == "checksums" {
		checksums, with = []string{"none", "crc32c", "sha256"}, "none"
	}
	want := digests(s.files, s.size)
	var arms []arm
	for _, checksum := range checksums {
		arms = append(arms, s.ours(checksum, want))
	}
	if with != "none" {
		arms = append(arms, s.peer(o.peerArgs))
	}
	return arms
}

// measure runs the arms in turn and tells of each run.
func (o transferOptions) measure(cmd *cobra.Command, s scenario) ([]rounds, error) {
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "%s: %d files of %.6g MB, %d workers", s.name, s.files, float64(s.size)/1e6, s.workers)
	if limit := s.limit(); limit > 0 {
		fmt.Fprintf(out, ", at most %.1f files/s", limit)
	}
	fmt.Fprintf(out, "\n  %-8s%-16s%s\n", "round", "", header())
	arms := o.arms(s)
	runs := make([]rounds, len(arms))
	for round := range o.reps {
		for n := range arms {
			if round%2 == 1 { // who comes first finds the machine in another state
				n = len(arms) - 1 - n
			}
			did, err := s.once(cmd.Context(), arms[n])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", arms[n].name, err)
			}
			fmt.Fprintf(out, "  %-8d%-16s%s\n", round+1, arms[n].name, did)
			runs[n].arm, runs[n].outcomes = arms[n].name, append(runs[n].outcomes, did)
		}
	}
	return runs, nil
}

func (c scenario) once(ctx context.Context, a arm) (did outcome, err error) {
	err = onStage(ctx, func(at *stage) (err error) {
		did, err = c.run(at, a)
		return err
	})
	return did, err
}
