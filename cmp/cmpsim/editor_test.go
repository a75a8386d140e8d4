package cmpsim_test

import (
	"slices"
	"testing"

	"damsync/cmp/cmpsim"
)

func TestEditorIsRepeatable(t *testing.T) {
	script := func() (steps []cmpsim.Step, left []string) {
		sim := cmpsim.New(cmpsim.Options{Seed: 3, Assets: 200, Now: newClock().now})
		e := sim.NewEditor("/Brand", 5)
		for range 200 {
			s, err := e.Step()
			must(t, err)
			steps = append(steps, s)
		}
		return steps, sim.AssetIDs()
	}
	one, left := script()
	two, leftAgain := script()
	if !slices.Equal(one, two) || !slices.Equal(left, leftAgain) {
		t.Error("two runs differ")
	}
	verbs := map[string]int{}
	for _, s := range one {
		verbs[s.Verb]++
	}
	if len(verbs) < 8 {
		t.Errorf("only %v", verbs)
	}
}
