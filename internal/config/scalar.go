package config

import (
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"

	"damsync/internal/secret"
)

// maxSecretSize bounds a secret file, in bytes.
const maxSecretSize = 64 << 10

// check returns a description of what is wrong with a text, or "".
type check func(text string) string

// read returns a text with its variables expanded. ok is false if the value is absent,
// is not text, or names a variable that is not set.
func (d *decoder) read(v value) (text string, ok bool) {
	if v.absent {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode || v.node.ShortTag() != "!!str" {
		d.mistyped(v, "text")
		return "", false
	}
	text, faults := expand(v.node.Value, d.env)
	for _, f := range faults {
		d.report(v, "%s", f)
	}
	return text, len(faults) == 0
}

// text reads an optional text. If it is absent, dst keeps its default.
func (d *decoder) text(dst *string, checks ...check) func(value) {
	return func(v value) {
		text, ok := d.read(v)
		if !ok {
			return
		}
		for _, c := range checks {
			if fault := c(text); fault != "" {
				d.report(v, "%s", fault)
				return
			}
		}
		*dst = text
	}
}

// required reads a text that must be present.
func (d *decoder) required(dst *string, checks ...check) func(value) {
	read := d.text(dst, append([]check{notEmpty}, checks...)...)
	return func(v value) {
		if v.absent {
			d.report(v, "is required")
			return
		}
		read(v)
	}
}

// secret returns the two keys of a secret: key, which is the secret, and key_file,
// which names a file that contains it. If required is set, one of them must be present.
func (d *decoder) secret(key string, dst *secret.String, required bool, checks ...check) []field {
	if required {
		checks = append([]check{notEmpty}, checks...)
	}
	var inline value
	accept := func(v value, text string) {
		for _, c := range checks {
			if fault := c(text); fault != "" {
				d.report(v, "%s", fault)
				return
			}
		}
		*dst = secret.New(text)
	}
	return []field{
		{key, func(v value) {
			inline = v
			if text, ok := d.read(v); ok {
				accept(v, text)
			}
		}},
		{key + "_file", func(v value) {
			switch {
			case v.absent && inline.absent && required:
				d.report(inline, "is required (or %s_file)", key)
			case !v.absent && !inline.absent:
				d.report(v, "use either %s or %s_file, not both", key, key)
			default:
				d.fromFile(v, accept)
			}
		}},
	}
}

// fromFile reads the file that a value names. It drops the newline that editors and
// echo leave at the end.
func (d *decoder) fromFile(v value, accept func(value, string)) {
	path, ok := d.read(v)
	if !ok {
		return
	}
	data, err := readLimited(path, maxSecretSize)
	if err != nil {
		d.report(v, "cannot read the file: %v", err)
		return
	}
	accept(v, trimNewline(string(data)))
}

func trimNewline(s string) string {
	n := len(s)
	if n > 0 && s[n-1] == '\n' {
		n--
		if n > 0 && s[n-1] == '\r' {
			n--
		}
	}
	return s[:n]
}

// integer reads a whole number between low and high.
func (d *decoder) integer(dst *int, low, high int) func(value) {
	return func(v value) {
		var n int
		ok := d.number(v, "a whole number", "!!int", &n, func(text string) (err error) {
			n, err = strconv.Atoi(text)
			return err
		})
		switch {
		case !ok:
		case n < low || n > high:
			d.report(v, "must be between %d and %d", low, high)
		default:
			*dst = n
		}
	}
}

// decimal reads a number between low and high.
func (d *decoder) decimal(dst *float64, low, high float64) func(value) {
	return func(v value) {
		var n float64
		ok := d.number(v, "a number", "!!float", &n, func(text string) (err error) {
			n, err = strconv.ParseFloat(text, 64)
			return err
		})
		switch {
		case !ok:
		case math.IsNaN(n) || n < low || n > high:
			d.report(v, "must be between %v and %v", low, high)
		default:
			*dst = n
		}
	}
}

// number reads a YAML number with the tag into dst. It passes the expanded text of a
// variable to parse, because ${NAME} is text to YAML, whatever the variable contains.
func (d *decoder) number(v value, want, tag string, dst any, parse func(string) error) bool {
	if v.absent {
		return false
	}
	if got := v.node.ShortTag(); v.node.Kind == yaml.ScalarNode && (got == tag || got == "!!int") {
		if v.node.Decode(dst) != nil {
			d.report(v, "must be %s that is not out of range", want)
			return false
		}
		return true
	}
	if v.node.Kind != yaml.ScalarNode || v.node.ShortTag() != "!!str" || !reference.MatchString(v.node.Value) {
		d.mistyped(v, want)
		return false
	}
	text, ok := d.read(v)
	if !ok {
		return false
	}
	if parse(text) != nil {
		d.report(v, "must be %s once expanded", want)
		return false
	}
	return true
}

// anything reads a value of unknown shape. It returns the value with its texts
// expanded, and the value as in the file.
func (d *decoder) anything(v value) (expanded, written any) {
	switch {
	case isNull(v.node):
		return nil, nil
	case v.node.Kind == yaml.MappingNode:
		return d.anyMapping(v)
	case v.node.Kind == yaml.SequenceNode:
		return d.anyList(v)
	case v.node.ShortTag() == "!!str":
		text, _ := d.read(v)
		return text, v.node.Value
	}
	var plain any
	if v.node.Decode(&plain) != nil {
		d.mistyped(v, "a plain value")
	}
	return plain, plain
}

func (d *decoder) anyMapping(v value) (expanded, written map[string]any) {
	expanded, written = map[string]any{}, map[string]any{}
	for _, e := range d.ordered(v) {
		expanded[e.name], written[e.name] = d.anything(e.value)
	}
	return expanded, written
}

func (d *decoder) anyList(v value) (expanded, written []any) {
	for _, item := range d.items(v) {
		e, w := d.anything(item)
		expanded, written = append(expanded, e), append(written, w)
	}
	return expanded, written
}
