package memory_test

import (
	"testing"

	"damsync/dam/damtest"
	"damsync/dam/damtest/memory"
)

func TestConformance(t *testing.T) {
	damtest.Run(t, func(*testing.T) damtest.Target { return memory.NewStore().Target() })
}
