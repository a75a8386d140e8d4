package sync

import (
	"os"
	"testing"

	"damsync/internal/pgtest"
)

// TestMain is also the simulator that benchmarks run as a process of its own.
func TestMain(m *testing.M) {
	if assets := os.Getenv(simulatorEnv); assets != "" {
		os.Exit(simulate(assets))
	}
	pgtest.MainNoLeaks(m)
}
