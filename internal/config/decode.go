package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a document after its aliases are expanded. Without them, a few lines could
// expand to billions of values, and an alias that contains itself would never end.
const (
	maxValues     = 20_000
	maxPathLength = 1_000 // of a key path, in bytes
)

// decoder walks one document and collects its problems.
type decoder struct {
	file     string
	source   [][]byte // lines, for columns inside scalars
	data     []byte
	env      func(string) (string, bool)
	problems Problems
	places   map[string]value // by key path
	keys     []string         // every key a mapping accepts, as a path
	visited  int

	adapters Adapters
	// overflown is set when a limit is exceeded. All further values are read as empty.
	overflown bool
}

// value is one place of the document. When the key is absent, node is the
// mapping that lacks it.
type value struct {
	path   string
	node   *yaml.Node
	absent bool
}

func newDecoder(name string, data []byte, env func(string) (string, bool)) *decoder {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return &decoder{
		file: name, data: data, env: env,
		source: bytes.Split(data, []byte("\n")),
		places: map[string]value{},
	}
}

// document parses the YAML. An empty file is an empty mapping.
func (d *decoder) document() (value, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(d.data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return value{node: &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}}, true
	}
	if err != nil {
		d.syntax(err)
		return value{}, false
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.report(value{node: &more}, "only one YAML document is allowed in the file")
		return value{}, false
	}
	return d.visit("", doc.Content[0]), true
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (d *decoder) syntax(err error) {
	text := err.Error()
	p := Problem{File: d.file, Message: yamlError.ReplaceAllString(text, "")}
	if m := yamlError.FindStringSubmatch(text); m != nil && m[1] != "" {
		p.Line, _ = strconv.Atoi(m[1]) // digits by the pattern
	}
	d.problems = append(d.problems, p)
}

// visit returns the value of a node and records its place. It follows an alias.
func (d *decoder) visit(path string, node *yaml.Node) value {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	d.visited++
	if !d.overflown && (d.visited > maxValues || len(path) > maxPathLength) {
		d.overflown = true
		d.report(value{node: node}, "the document is too large or too deep once aliases are followed")
	}
	if d.overflown {
		node = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: node.Line, Column: node.Column}
	}
	v := value{path: path, node: node}
	d.places[path] = v
	return v
}

func (d *decoder) report(v value, format string, args ...any) {
	d.problems = append(d.problems, d.at(v, fmt.Sprintf(format, args...)))
}

func (d *decoder) at(v value, message string) Problem {
	return Problem{
		File: d.file, Line: max(1, v.node.Line), Column: max(1, v.node.Column),
		Key: v.path, Message: message,
	}
}

// place returns the value at a key path or at the nearest key above it.
func (d *decoder) place(path string) value {
	for {
		if v, ok := d.places[path]; ok {
			v.path = path
			return v
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.places[""]
		}
		path = path[:i]
	}
}

// faulty reports whether there is a problem at a key path, or above or below it.
func (d *decoder) faulty(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool {
		return p.Key == path || within(p.Key, path) || within(path, p.Key)
	})
}

// within reports whether a key path lies under another.
func within(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// field is one key that a mapping accepts. read is always called; if the key is
// missing, with an absent value.
type field struct {
	key  string
	read func(value)
}

// object reads a mapping of known keys. An absent or empty mapping has no keys.
func (d *decoder) object(v value, fields ...field) {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.key
		d.keys = append(d.keys, join(v.path, f.key))
	}
	given := map[string]entry{}
	for _, e := range d.ordered(v) {
		given[e.name] = e
		if !slices.Contains(known, e.name) {
			d.report(value{path: e.path, node: e.key}, "%s", unknown(e.name, known))
		}
	}
	for _, f := range fields {
		if e, ok := given[f.key]; ok {
			f.read(e.value)
			continue
		}
		f.read(value{path: join(v.path, f.key), node: v.node, absent: true})
	}
}

func unknown(key string, known []string) string {
	if near := nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key, did you mean %q?", near)
	}
	return "unknown key, want one of " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// entry is one key of a mapping with its value.
type entry struct {
	value
	name string
	key  *yaml.Node
}

// ordered returns the entries of a mapping in the order of the file. A duplicate key,
// or one that is not a word, is a problem.
func (d *decoder) ordered(v value) []entry {
	if v.absent || isNull(v.node) {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		d.mistyped(v, "a mapping")
		return nil
	}
	var all []entry
	first := map[string]int{}
	for pair := range slices.Chunk(v.node.Content, 2) {
		key := pair[0]
		path := join(v.path, key.Value)
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			d.report(value{path: v.path, node: key}, "a key must be a word")
			continue
		}
		if line, ok := first[key.Value]; ok {
			d.report(value{path: path, node: key}, "duplicate key, first used in line %d", line)
			continue
		}
		first[key.Value] = key.Line
		all = append(all, entry{value: d.visit(path, pair[1]), name: key.Value, key: key})
	}
	return all
}

// items returns the values of a list. An absent or empty list has none.
func (d *decoder) items(v value) []value {
	if v.absent || isNull(v.node) {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		d.mistyped(v, "a list")
		return nil
	}
	all := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		all[i] = d.visit(fmt.Sprintf("%s[%d]", v.path, i), n)
	}
	return all
}

func (d *decoder) mistyped(v value, want string) {
	got := kind(v.node)
	hint := ""
	if want == "text" && v.node.Kind == yaml.ScalarNode && !isNull(v.node) {
		hint = ": put it in quotes"
	}
	d.report(v, "must be %s, is %s%s", want, got, hint)
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "empty"
	case "!!timestamp":
		return "a date"
	default:
		return n.ShortTag()
	}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
