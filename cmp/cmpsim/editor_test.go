package cmpsim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"damsync/cmp/cmpsim"
)

// An editor of the control API continues where it stopped.
func TestEditorByControlAPI(t *testing.T) {
	steps := func(orders ...string) string {
		b := start(t, nil)
		var all []cmpsim.Step
		for _, o := range orders {
			var some []cmpsim.Step
			must(t, json.Unmarshal(b.control("POST", "/editor", o).body, &some))
			all = append(all, some...)
		}
		return fmt.Sprint(len(all), all)
	}
	once := steps(`{"folder":"/Press","seed":2,"steps":6}`)
	if twice := steps(`{"folder":"/Press","seed":2,"steps":4}`, `{"folder":"/Press","seed":2,"steps":2}`); once != twice {
		t.Errorf("%s\n%s", once, twice)
	}
}

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
