package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"damsync/bench/internal/benchkit"
)

// scenario is a set of files to transfer, the delays on the way, and the bounds.
type scenario struct {
	name    string
	files   int
	size    int64 // bytes of each file
	workers int
	wait    time.Duration // to the source's first byte, and to the store's answer
	rate    int64         // bytes per second of each stream from the source; 0 is no limit
	bounds  bounds
}

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

func (c scenario) gigabytes() float64 { return float64(c.size) * float64(c.files) / 1e9 }

// limit is how many files per second the delays allow; 0 where only the machine sets a limit.
func (c scenario) limit() float64 {
	if c.wait == 0 {
		return 0
	}
	each := 2 * c.wait.Seconds()
	if c.rate > 0 {
		each += float64(c.size) / float64(c.rate)
	}
	return float64(c.workers) / each
}

// arms lists the programs to compare: ours with each checksum, then rclone when it takes part.
func (c scenario) arms(peer bool) []arm {
	checksums := []string{"sha256"}
	if c.name == "checksums" {
		checksums, peer = []string{"none", "crc32c", "sha256"}, false
	}
	want := digests(c.files, c.size)
	var arms []arm
	for _, checksum := range checksums {
		arms = append(arms, c.ours(checksum, want))
	}
	if peer {
		arms = append(arms, c.rclone())
	}
	return arms
}

// options change the scenarios; zero values leave them as they are.
type options struct {
	alone   bool
	rounds  int
	files   int
	size    int64
	rate    int64
	workers int
}

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	if o.rounds < 1 {
		return fmt.Errorf("--reps %d: want 1 or more", o.rounds)
	}
	chosen, err := choose(flag.Args())
	if err != nil {
		return err
	}
	if _, err := exec.LookPath(rclone); err != nil && !o.alone {
		fmt.Fprintln(os.Stderr, "rclone is not in the PATH; there is no comparison")
		o.alone = true
	}
	for _, c := range chosen {
		c = o.apply(c)
		results, err := o.measure(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.compare(s, results)
	}
	return nil
}

// choose returns the named scenarios, all when names is empty.
func choose(names []string) ([]scenario, error) {
	chosen := slices.DeleteFunc(scenarios(), func(c scenario) bool { return len(names) > 0 && !slices.Contains(names, c.name) })
	if len(names) > len(chosen) {
		return nil, fmt.Errorf("scenarios %q: want large, distant, small or checksums", names)
	}
	return chosen, nil
}

func (o *options) apply(c scenario) scenario {
	c.rate = o.rate
	if o.files > 0 {
		c.files = o.files
	}
	if o.size > 0 {
		c.size = o.size
	}
	if o.workers > 0 {
		c.workers = o.workers
	}
	return c
}

// measure runs the arms in turn, prints each run and returns the results by arm.
func (o *options) measure(ctx context.Context, c scenario) ([]result, error) {
	fmt.Fprintf(os.Stderr, "%s: %d files of %.6g MB, %d workers", c.name, c.files, float64(c.size)/1e6, c.workers)
	if limit := c.limit(); limit > 0 {
		fmt.Fprintf(os.Stderr, ", at most %.1f files/s", limit)
	}
	fmt.Fprintf(os.Stderr, "\n  %-8s%-16s%s\n", "round", "", header())
	arms := c.arms(!o.alone)
	results := make([]result, len(arms))
	for round := range o.rounds {
		for n := range arms {
			if round%2 == 1 { // the first arm of a round finds the machine in another state
				n = len(arms) - 1 - n
			}
			did, err := c.runOnce(ctx, arms[n])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", arms[n].name, err)
			}
			fmt.Fprintf(os.Stderr, "  %-8d%-16s%s\n", round+1, arms[n].name, did)
			results[n].arm, results[n].runs = arms[n].name, append(results[n].runs, did)
		}
	}
	return results, nil
}
