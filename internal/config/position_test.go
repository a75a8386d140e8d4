package config

import (
	"fmt"
	"strings"
	"testing"
)

// A ^ in each document marks a name that rules do not know. The problem must point there.
func TestRuleProblemsPointIntoTheText(t *testing.T) {
	tests := map[string]string{
		"plain":          `    path: "{asset.id}"` + "\n" + `    select: {when: asset.id == ^nothere}`,
		"single quoted":  `    select: {when: 'asset.id + "''" == ^nothere'}`,
		"double quoted":  `    select: {when: "asset.id == \"\u00e9\" + ^nothere"}`,
		"escapes":        `    select: {when: "asset.id == \"\x41\\t\U0001F600\" + ^nothere"}`,
		"not ASCII":      `    select: {when: 'asset.title == "äöü" + ^nothere'}`,
		"path":           `    path: '{asset.folder}/{^nothere}'`,
		"metadata":       "    metadata:\n      a.b: asset.id\n      a.c: asset.id + ^nothere",
		"literal":        "    select:\n      when: |\n        asset.id != \"\"\n\n        and asset.id == ^nothere\n",
		"folded":         "    select:\n      when: >-\n        asset.id != \"\"\n        and asset.id == ^nothere\n",
		"moved by a $":   `    select: {when: ^'asset.id == "$$" + nothere'}`,
		"several quoted": `    metadata: {"t": "asset.id", 'u': ^nothere}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			document := minimal + "targets:\n  - name: a\n    adapter: filesystem\n" + text
			before, after, _ := strings.Cut(document, "^")
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
			_, err := Parse("c", []byte(before+after), nil, known)
			if want := fmt.Sprintf("c:%d:%d: ", line, column); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
