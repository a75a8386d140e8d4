package config

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// position returns the line and column, in characters, of a byte offset in a text.
// It is exact for a text on one line and for a literal block, and approximate for a
// folded block. If a variable or an escaped dollar moved the offset, it is the start
// of the text.
func (d *decoder) position(v value, offset int) (line, column int) {
	n := v.node
	line, column = max(1, n.Line), max(1, n.Column)
	if n.Kind != yaml.ScalarNode || offset <= 0 || offset > len(n.Value) || line > len(d.source) ||
		strings.Contains(n.Value, "$$") || strings.Contains(n.Value, "${") {
		return line, column
	}
	before := n.Value[:offset]
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle:
		return d.inBlock(n, before, 1)
	case yaml.FoldedStyle:
		return d.inBlock(n, before, 0)
	case yaml.SingleQuotedStyle:
		return line, column + 1 + utf8.RuneCountInString(before) + strings.Count(before, "'")
	case yaml.DoubleQuotedStyle:
		return line, column + 1 + quotedWidth(d.rest(line, column+1), utf8.RuneCountInString(before))
	default:
		return line, column + utf8.RuneCountInString(before)
	}
}

// inBlock walks the lines of a block until it has passed the text in before. blank is
// the number of characters that an empty line adds to the text.
func (d *decoder) inBlock(n *yaml.Node, before string, blank int) (line, column int) {
	left, indent := utf8.RuneCountInString(before), -1
	for line = n.Line + 1; line <= len(d.source); line++ {
		text := strings.TrimRight(string(d.source[line-1]), "\r")
		body := strings.TrimLeft(text, " ")
		if indent < 0 && body != "" {
			indent = len(text) - len(body)
		}
		if body == "" {
			left -= blank
			continue
		}
		width := utf8.RuneCountInString(text) - indent
		if left <= width {
			return line, max(0, indent+left) + 1
		}
		left -= width + 1
	}
	return n.Line, n.Column
}

// rest returns the part of a line that starts at a column.
func (d *decoder) rest(line, column int) string {
	runes := []rune(string(d.source[line-1]))
	return string(runes[min(column-1, len(runes)):])
}

// quotedWidth returns how many characters of a double-quoted source encode the first
// count characters of its value.
func quotedWidth(source string, count int) int {
	runes, at := []rune(source), 0
	for ; count > 0 && at < len(runes); count-- {
		at += escapeWidth(runes[at:])
	}
	return min(at, len(runes))
}

func escapeWidth(runes []rune) int {
	if runes[0] != '\\' || len(runes) == 1 {
		return 1
	}
	switch runes[1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	default:
		return 2
	}
}
