package plan

import (
	"strings"
	"unicode"
)

// piece is a part of a path template: literal text, or an expression.
type piece struct {
	literal string
	source  string // of the expression; empty for a literal
	offset  int    // of the expression in the template
	program *expression
}

// parseTemplate splits a path template at its braces. "{{" and "}}" are literal
// braces; inside an expression braces balance and those in quotes do not count.
func parseTemplate(text string) ([]piece, []fault) {
	var pieces []piece
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			pieces = append(pieces, piece{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal.WriteByte(text[i])
			i += 2
		case text[i] == '{':
			end := closingBrace(text, i+1)
			if end < 0 {
				return nil, []fault{{offset: i, message: "this brace is never closed; write {{ for a literal brace"}}
			}
			flush()
			pieces = append(pieces, piece{source: text[i+1 : end], offset: i + 1})
			i = end + 1
		case text[i] == '}':
			return nil, []fault{{offset: i, message: "this brace has no opening brace; write }} for a literal brace"}}
		default:
			literal.WriteByte(text[i])
			i++
		}
	}
	flush()
	return pieces, nil
}

// closingBrace returns the end of the expression that begins at start, or -1.
func closingBrace(text string, start int) int {
	depth := 0
	for i := start; i < len(text); i++ {
		switch text[i] {
		case '"', '\'', '`':
			if i = closingQuote(text, i); i < 0 {
				return -1
			}
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// closingQuote returns the end of the string that begins at start, or -1. A
// backslash escapes, except between back quotes.
func closingQuote(text string, start int) int {
	quote := text[start]
	for i := start + 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return i
		case text[i] == '\\' && quote != '`':
			i++
		}
	}
	return -1
}

// compileTemplate compiles every expression of a path template.
func compileTemplate(text string) ([]piece, []fault) {
	pieces, faults := parseTemplate(text)
	reads := false
	for i := range pieces {
		if pieces[i].literal != "" {
			continue
		}
		program, wrong := compileExpression(pieces[i].source, acceptPathType)
		for _, f := range wrong {
			faults = append(faults, fault{offset: pieces[i].offset + f.offset, message: f.message})
		}
		if program != nil {
			pieces[i].program = program
			reads = reads || program.uses.asset
		}
	}
	if len(faults) == 0 && !reads {
		faults = append(faults, fault{message: "the path reads no property of the asset: all assets would have the same path; use for instance {asset.id}"})
	}
	return pieces, faults
}

// render evaluates a path template for the asset in the environment. Slashes
// separate segments in literal text and in values that read asset.folder. In other
// values they become "_", so that a title never makes a directory. An empty last
// segment is replaced by the asset's id.
func (e *evaluator) render(pieces []piece) (string, error) {
	var text strings.Builder
	for i := range pieces {
		p := &pieces[i]
		if p.program == nil {
			text.WriteString(p.literal)
			continue
		}
		value, err := e.run(p.program)
		if err != nil {
			return "", err
		}
		part, err := pathText(value)
		if err != nil {
			return "", err
		}
		if !p.program.uses.folder {
			part = strings.ReplaceAll(part, "/", "_")
		}
		text.WriteString(part)
	}
	return SafePath(withName(text.String(), e.environment.Asset.ID)), nil
}

// withName replaces an empty last segment by the id: otherwise a file would have
// the path of its folder.
func withName(path, id string) string {
	cut := strings.LastIndexByte(path, '/') + 1
	if strings.ContainsFunc(path[cut:], isVisible) {
		return path
	}
	return path[:cut] + SafeSegment(id)
}

func isVisible(r rune) bool { return r != '.' && !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) }
