package main

import (
	"fmt"
	"slices"
	"strings"

	"damsync/bench/internal/benchkit"
)

// outcome is what one run of one arm achieved and used.
type outcome struct {
	throughput float64 // MB/s
	files      float64 // per second
	cpu        float64 // seconds per GB
	resident   float64 // MB at its peak
	storeCPU   float64 // seconds per GB
	requests   float64 // to the store per file; 0 where they are not counted
}

// metric selects a value of an outcome.
type metric func(outcome) float64

func throughput(o outcome) float64 { return o.throughput }
func files(o outcome) float64      { return o.files }
func cpu(o outcome) float64        { return o.cpu }
func resident(o outcome) float64   { return o.resident }
func storeCPU(o outcome) float64   { return o.storeCPU }
func requests(o outcome) float64   { return o.requests }

// columns returns the titles and values of a printed outcome.
func columns() (titles []string, values []metric) {
	return []string{"MB/s", "files/s", "CPU s/GB", "MB resident", "store's CPU s/GB", "requests/file"},
		[]metric{throughput, files, cpu, resident, storeCPU, requests}
}

func header() string {
	titles, _ := columns()
	var b strings.Builder
	for _, title := range titles {
		fmt.Fprintf(&b, "%18s", title)
	}
	return b.String()
}

// String returns the line below header.
func (o outcome) String() string {
	_, values := columns()
	var b strings.Builder
	for _, value := range values {
		text := "-"
		if v := value(o); v != 0 {
			text = fmt.Sprintf("%.2f", v)
		}
		fmt.Fprintf(&b, "%18s", text)
	}
	return b.String()
}

// result is the runs of one arm, one for each round.
type result struct {
	arm  string
	runs []outcome
}

func (r result) median(of metric) float64 {
	values := make([]float64, len(r.runs))
	for i := range r.runs {
		values[i] = of(r.runs[i])
	}
	return median(values)
}

// ratio is the median of the ratios of each round, whose runs followed each other: a slow minute of
// the machine affects both.
func (r result) ratio(peer result, of metric) float64 {
	values := make([]float64, len(r.runs))
	for i := range r.runs {
		values[i] = of(r.runs[i]) / of(peer.runs[i])
	}
	return median(values)
}

// median returns the upper one of two middle values.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// bounds of a scenario; 0 is none.
type bounds struct {
	throughput float64 // times the peer's, at least
	cpu        float64 // seconds per GB, times the peer's, at most
	resident   float64 // MB, at most
	limit      float64 // of the possible files per second, at least
	requests   float64 // to the store per file, at most
}

// compare adds the medians of all arms; rclone, when it took part, is the last.
func (c scenario) compare(s *benchkit.Sheet, results []result) {
	last := results[len(results)-1]
	for _, r := range results {
		c.report(s, r)
		if r.arm != rclone {
			c.judge(s, r)
		}
		if r.arm != rclone && last.arm == rclone {
			c.judgeRatios(s, r, last)
		}
	}
}

// title names a figure of an arm.
func (c scenario) title(r result, what string) string { return c.name + ", " + r.arm + ": " + what }

func (c scenario) report(s *benchkit.Sheet, r result) {
	s.Info(c.title(r, "throughput"), r.median(throughput), "MB/s")
	s.Info(c.title(r, "files"), r.median(files), "per second")
	s.Info(c.title(r, "processor time"), r.median(cpu), "s/GB")
	s.Info(c.title(r, "processor time of the store"), r.median(storeCPU), "s/GB")
	if c.bounds.resident == 0 || r.arm == rclone {
		s.Info(c.title(r, "resident memory at its peak"), r.median(resident), "MB")
	}
}

func (c scenario) judge(s *benchkit.Sheet, r result) {
	if bound := c.bounds.resident; bound > 0 {
		s.AtMost(bound, c.title(r, "resident memory at its peak"), r.median(resident), "MB")
	}
	if c.wait > 0 {
		s.AtLeast(c.bounds.limit, c.title(r, "files, of those possible"), r.median(files)/c.limit(), "")
		s.AtMost(c.bounds.requests, c.title(r, "requests to the store"), r.median(requests), "per file")
	}
}

func (c scenario) judgeRatios(s *benchkit.Sheet, r, peer result) {
	if bound := c.bounds.throughput; bound > 0 {
		s.AtLeast(bound, c.title(r, "throughput"), r.ratio(peer, throughput), "x "+peer.arm)
	}
	if bound := c.bounds.cpu; bound > 0 {
		s.AtMost(bound, c.title(r, "processor time per GB"), r.ratio(peer, cpu), "x "+peer.arm)
	}
}
