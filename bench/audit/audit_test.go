package main

import (
	"testing"

	"damsync/bench/internal/benchkit"
)

func TestAuditKeepsItsBounds(t *testing.T) {
	const million = 1_000_000
	histories := benchkit.Quantity(1000)
	if testing.Short() {
		histories = 50
	}
	for name, o := range map[string]options{
		"nothing changed":   {assets: million / 10, seeds: 1},
		"one deletion":      {assets: million, deleted: 1, seeds: 20},
		"deletions in runs": {assets: million, deleted: million / 1000, seeds: 5, clustered: true},
		"a tenth deleted":   {assets: million, deleted: million / 10, seeds: 1},
		"ties":              {assets: million / 10, deleted: 10, seeds: 3, tie: 5000},
		"editors at work":   {assets: 4000, deleted: 10, seeds: histories, edits: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			var s benchkit.Sheet
			if err := o.run(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Figures {
				t.Log(f)
			}
			if err := s.Missed(); err != nil {
				t.Error(err)
			}
		})
	}
}
