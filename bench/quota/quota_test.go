package main

import (
	"os"
	"testing"

	"damsync/bench/internal/benchkit"
)

// TestMain lets the test binary run the processes that spend.
func TestMain(m *testing.M) {
	if benchkit.IsChild() {
		os.Exit(benchkit.Main(nil, parts()))
	}
	os.Exit(m.Run())
}

func TestQuota(t *testing.T) {
	t.Run("kills spend nothing above the budget", func(t *testing.T) {
		p := processes{count: 3, kills: 4, budget: 60}
		o, err := p.spend(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if o.killed != p.kills {
			t.Errorf("%d processes were killed, want %d", o.killed, p.kills)
		}
		if arrived := int64(len(o.arrivals)); arrived > p.budget {
			t.Errorf("%d requests arrived, budget %d", arrived, p.budget)
		}
		if o.counted != p.budget {
			t.Errorf("%d requests were counted, budget %d", o.counted, p.budget)
		}
	})
	t.Run("bulk work leaves urgent work its part of every month", func(t *testing.T) {
		var s benchkit.Sheet
		if err := (&replicas{budget: 2500}).run(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if err := s.Missed(); err != nil {
			t.Error(err)
		}
	})
}
