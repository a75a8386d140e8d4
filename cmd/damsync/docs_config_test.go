package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// configurationDoc makes tables of config.example.yaml: its comments are the documentation of every
// key. A test of package config shows that the file has every key, and that the values outside targets
// are the defaults.
func configurationDoc(t *testing.T) string {
	t.Helper()
	sections := mappingNode(t, exampleConfig(t))
	var b strings.Builder
	for i := 0; i < len(sections.Content); i += 2 {
		key, value := sections.Content[i], sections.Content[i+1]
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n\n", key.Value)
		head, meaning := tableHead("key", "value", "meaning"), commentOf(key, value)
		switch {
		case value.Kind == yaml.ScalarNode:
			b.WriteString(head + tableRow(code(key.Value), code(yamlText(t, value)), meaning))
		case value.Kind == yaml.SequenceNode:
			b.WriteString(meaning + "\n\n" + head)
			writeTargets(t, &b, value)
		default:
			b.WriteString(meaning + "\n\n" + head)
			writeKeys(t, &b, key.Value+".", value)
		}
	}
	return b.String()
}

// writeTargets writes the keys of the first target, and the options of each adapter.
func writeTargets(t *testing.T, b *strings.Builder, targets *yaml.Node) {
	t.Helper()
	documented := map[string]bool{}
	for i, target := range targets.Content {
		adapter, options := child(target, "adapter").Value, child(target, "options")
		if i == 0 {
			writeKeys(t, b, "", target)
		}
		fmt.Fprintf(b, "\n### Options of the adapter %s\n\n%s", adapter, tableHead("option", "value", "meaning"))
		writeKeys(t, b, "", options)
		documented[adapter] = true
		checkOptions(t, adapter, options)
	}
	for adapter := range adapters() {
		if !documented[adapter] {
			t.Errorf("config.example.yaml has no target with the adapter %s", adapter)
		}
	}
}

// checkOptions compares the documented options of an adapter with those that it knows: it lists them
// in the error about one that it does not know.
func checkOptions(t *testing.T, adapter string, options *yaml.Node) {
	t.Helper()
	_, err := adapters()[adapter].open(map[string]any{"not-an-option": true}, "target", "instance")
	if err == nil {
		t.Fatalf("the adapter %s accepts an unknown option", adapter)
	}
	for line := range strings.Lines(err.Error()) {
		_, list, found := strings.Cut(strings.TrimSpace(line), "unknown option not-an-option: use one of ")
		if !found {
			continue
		}
		for _, known := range strings.Split(list, ", ") {
			if child(options, known) == nil {
				t.Errorf("config.example.yaml lacks option %s of the adapter %s", known, adapter)
			}
		}
		return
	}
	t.Errorf("the adapter %s does not list its options: %v", adapter, err)
}

// writeKeys writes a row for each key below a mapping. A mapping in one line is a value.
func writeKeys(t *testing.T, b *strings.Builder, prefix string, mapping *yaml.Node) {
	t.Helper()
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		meaning := commentOf(key, value)
		if meaning == "" {
			t.Errorf("config.example.yaml:%d: %s has no comment", key.Line, prefix+key.Value)
		}
		if value.Kind != yaml.MappingNode || value.Style&yaml.FlowStyle != 0 {
			b.WriteString(tableRow(code(prefix+key.Value), code(yamlText(t, value)), meaning))
			continue
		}
		b.WriteString(tableRow(code(prefix+key.Value), "", meaning))
		if key.Value != "options" { // a table of its own
			writeKeys(t, b, prefix+key.Value+".", value)
		}
	}
}

var (
	disabledTarget = regexp.MustCompile(`(?m)^  #(-|  |$)`)
	disabledKey    = regexp.MustCompile(`(?m)^( *)#(\w+:)`)
)

// exampleConfig returns the example configuration with everything in force that it has as a comment.
func exampleConfig(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = disabledTarget.ReplaceAll(text, []byte("  $1"))
	return disabledKey.ReplaceAll(text, []byte("$1$2"))
}

func mappingNode(t *testing.T, text []byte) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// child returns the value of a key of a mapping, nil if there is none.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for pair := range slices.Chunk(mapping.Content, 2) {
		if pair[0].Value == key {
			return pair[1]
		}
	}
	return nil
}

// commentOf returns the comment of a key as one line: above it, or beside its value.
func commentOf(key, value *yaml.Node) string {
	var words []string
	for _, comment := range []string{key.HeadComment, key.LineComment, value.HeadComment, value.LineComment} {
		for line := range strings.Lines(comment) {
			words = append(words, strings.Fields(strings.TrimLeft(line, "# "))...)
		}
	}
	return strings.Join(words, " ")
}

// yamlText returns a value in one line, without comments.
func yamlText(t *testing.T, value *yaml.Node) string {
	t.Helper()
	plain := *value
	plain.HeadComment, plain.LineComment, plain.FootComment = "", "", ""
	text, err := yaml.Marshal(&plain)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
