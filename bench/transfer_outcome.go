package main

import (
	"fmt"
	"slices"
	"strings"
)

// outcome is what one run of one arm was seen to do.
type outcome struct {
	throughput float64 // MB/s
	files      float64 // a second
	cpu        float64 // seconds a GB
	resident   float64 // MB at the most
	storeCPU   float64 // seconds a GB
	requests   float64 // to the store for each file; 0 where nobody counted
}

// column is one value of an outcome.
type column struct {
	title string
	of    func(outcome) float64
}

func columns() []column {
	return []column{
		{"MB/s", func(o outcome) float64 { return o.throughput }},
		{"files/s", func(o outcome) float64 { return o.files }},
		{"CPU s/GB", func(o outcome) float64 { return o.cpu }},
		{"MB resident", func(o outcome) float64 { return o.resident }},
		{"store's CPU s/GB", func(o outcome) float64 { return o.storeCPU }},
		{"requests/file", func(o outcome) float64 { return o.requests }},
	}
}

// header is the line above outcomes as String gives them.
func header() string {
	var b strings.Builder
	for _, c := range columns() {
		fmt.Fprintf(&b, "%18s", c.title)
	}
	return b.String()
}

func (o outcome) String() string {
	var b strings.Builder
	for _, c := range columns() {
		text := "-"
		if v := c.of(o); v != 0 {
			text = fmt.Sprintf("%.2f", v)
		}
		fmt.Fprintf(&b, "%18s", text)
	}
	return b.String()
}

// rounds are the outcomes of one arm, the same round of each arm at the same place.
type rounds struct {
	arm      string
	outcomes []outcome
}

func (r rounds) median(of func(outcome) float64) float64 {
	values := make([]float64, len(r.outcomes))
	for i, o := range r.outcomes {
		values[i] = of(o)
	}
	return middle(values)
}

// ratio is the median of the rounds' ratios, so that each is of runs that followed
// each other.
func (r rounds) ratio(peer rounds, of func(outcome) float64) float64 {
	values := make([]float64, len(r.outcomes))
	for i, o := range r.outcomes {
		values[i] = of(o) / of(peer.outcomes[i])
	}
	return middle(values)
}

// middle is the median, the upper one of an even number.
func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// bounds of a scenario; 0 is none.
type bounds struct {
	throughput float64 // of the peer's, at least
	cpu        float64 // seconds a GB of the peer's, at most
	resident   float64 // MB, at most
	limit      float64 // files a second of what is possible, at least
	requests   float64 // to the store for each file, at most
}

// judge notes the medians of an arm. peer is nil where nobody is compared with.
func (c scenario) judge(on *sheet, r rounds, peer *rounds) {
	name := func(what string) string { return c.name + ", " + r.arm + ": " + what }
	files := r.median(func(o outcome) float64 { return o.files })
	cpu := func(o outcome) float64 { return o.cpu }
	on.seen(name("throughput"), r.median(columns()[0].of), "MB/s")
	on.seen(name("files"), files, "/s")
	on.seen(name("processor time"), r.median(cpu), "s/GB")
	on.seen(name("processor time of the store"), r.median(func(o outcome) float64 { return o.storeCPU }), "s/GB")
	memory := r.median(func(o outcome) float64 { return o.resident })
	if peer != nil && r.arm == peer.arm {
		on.seen(name("resident at the most"), memory, "MB")
		return
	}
	bounded(on, on.atMost, c.bounds.resident, name("resident at the most"), memory, "MB")
	if c.wait > 0 {
		requests := r.median(func(o outcome) float64 { return o.requests })
		bounded(on, on.atLeast, c.bounds.limit, name("files, of those possible"), files/c.limit(), "")
		bounded(on, on.atMost, c.bounds.requests, name("requests to the store"), requests, "/file")
	}
	if peer != nil {
		bounded(on, on.atLeast, c.bounds.throughput, name("throughput"), r.ratio(*peer, columns()[0].of), "x "+peer.arm)
		bounded(on, on.atMost, c.bounds.cpu, name("processor time a GB"), r.ratio(*peer, cpu), "x "+peer.arm)
	}
}

// bounded notes a figure by its bound, or for information where there is none.
func bounded(
	on *sheet, note func(bound float64, measure string, value float64, unit string),
	bound float64, measure string, value float64, unit string,
) {
	if bound == 0 {
		on.seen(measure, value, unit)
		return
	}
	note(bound, measure, value, unit)
}
