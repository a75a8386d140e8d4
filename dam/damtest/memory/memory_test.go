package memory_test

import (
	"testing"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/damtest/memory"
)

func TestConformance(t *testing.T) {
	damtest.Run(t, func(*testing.T) damtest.Target { return memory.NewStore().Target() })
}

// Decorators keep the promises of an adapter.
func TestConformanceDecorated(t *testing.T) {
	damtest.Run(t, func(*testing.T) damtest.Target {
		target := memory.NewStore().Target()
		open := target.Open
		target.Open = func(instance string) (dam.Adapter, error) {
			a, err := open(instance)
			a = dam.Metrics(dam.Retry(dam.Pace(a, 0)), func(dam.Call) {})
			return dam.Logging(a, zerolog.Nop(), target.Name), err
		}
		target.Refuse = nil // Pace waits in a storm, which takes long
		return target
	})
}
