package main

import "testing"

// holds runs a program and fails with each bound that is missed.
func holds(t *testing.T, run func(*sheet) error) {
	t.Helper()
	var s sheet
	if err := run(&s); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.figures {
		t.Logf("%s: %s %s %s", f.Measure, number(f.Seen), f.Unit, f.bound())
	}
	if err := s.missed(); err != nil {
		t.Error(err)
	}
}

func TestAuditBounds(t *testing.T) {
	million, histories := quantity(1_000_000), quantity(1000)
	if testing.Short() {
		million, histories = 100_000, 50
	}
	for name, o := range map[string]auditOptions{
		"nothing changed":   {n: million / 10, seeds: 1},
		"one deletion":      {n: million, del: 1, seeds: 20},
		"deletions in runs": {n: million, del: million / 1000, seeds: 5, clustered: true},
		"a tenth deleted":   {n: million, del: million / 10, seeds: 1},
		"ties":              {n: million / 10, del: 10, seeds: 3, tie: 5000},
		"editors at work":   {n: 4000, del: 10, seeds: histories, edits: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			holds(t, func(s *sheet) error { return o.run(t.Context(), s) })
		})
	}
}

func TestScanBounds(t *testing.T) {
	o := scanOptions{n: 10_000, bulk: 5000, ties: 3000, seeds: 1000, churn: "high"}
	if testing.Short() {
		o.seeds = 20
	}
	holds(t, func(s *sheet) error { return o.run(t.Context(), s) })
}
