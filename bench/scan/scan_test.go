package main

import (
	"testing"

	"damsync/bench/internal/benchkit"
)

func TestScanKeepsItsBounds(t *testing.T) {
	o := options{assets: 10_000, bulk: 5000, ties: 3000, seeds: 1000, churn: "high"}
	if testing.Short() {
		o.seeds = 20
	}
	var s benchkit.Sheet
	if err := o.run(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Missed(); err != nil {
		t.Error(err)
	}
}
