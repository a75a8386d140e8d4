package cmpsim

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// README.md is the only reference of the control API, so it must name every verb, fault and behavior.
func TestReadmeNamesEverything(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	names := slices.Collect(maps.Keys(New(Options{}).editVerbs()))
	for k := range strikes() {
		names = append(names, string(k))
	}
	for k := range answerChanges() {
		names = append(names, string(k))
	}
	var keys map[string]bool
	raw, err := json.Marshal(Behavior{})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	for k := range keys {
		names = append(names, k)
	}
	for _, n := range names {
		if !strings.Contains(readme, "`"+n+"`") {
			t.Errorf("README.md does not name %s", n)
		}
	}
}
