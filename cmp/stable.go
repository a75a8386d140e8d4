package cmp

import (
	"bytes"
	"encoding/json"
	"strings"
)

// stable returns raw, which must be valid JSON, without what changes between two
// readings of an unchanged asset or lets somebody download it: the strings at the
// paths in volatile ("key" or "key.key") become "", URLs lose query and fragment, and
// download tokens inside longer texts are cut out. Human text (titles, names,
// descriptions) keeps its URLs: there a query is content.
func stable(raw []byte, volatile ...string) json.RawMessage {
	s := scrubber{in: raw, out: make([]byte, 0, len(raw)), volatile: volatile}
	s.value(where{})
	return append(s.out, s.in[s.copied:]...)
}

// elements splits a JSON array, which must be valid, at a fraction of what another
// pass of encoding/json costs. The parts share b's memory.
func elements(b []byte) [][]byte {
	s := scrubber{in: b}
	var out [][]byte
	for s.more(']') {
		start := s.pos
		s.skip()
		out = append(out, bytes.TrimRight(b[start:s.pos], " \t\r\n"))
	}
	return out
}

// skip steps over the value at pos and the space after it.
func (s *scrubber) skip() {
	for depth := 0; ; {
		switch s.in[s.pos] {
		case '"':
			s.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
		case ',':
			if depth == 0 {
				return
			}
		}
		s.pos++
	}
}

// where is the place of a value: its key and its parent's, as far as a path in
// volatile can name it.
type where struct {
	parent, key []byte
	depth       int // objects around it; arrays count too, so that no path matches in them
}

type scrubber struct {
	in, out  []byte
	pos      int // next byte to look at
	copied   int // in[:copied] is in out, changed where needed
	volatile []string
}

func (s *scrubber) value(at where) {
	s.space()
	switch s.in[s.pos] {
	case '{':
		s.object(at)
	case '[':
		s.array(at)
	case '"':
		start := s.pos
		s.skipString()
		s.text(start, at)
	default: // number, true, false, null
		if n := bytes.IndexAny(s.in[s.pos:], ",]} \t\r\n"); n >= 0 {
			s.pos += n
		} else {
			s.pos = len(s.in)
		}
	}
}

func (s *scrubber) object(at where) {
	for s.more('}') {
		start := s.pos
		s.skipString()
		key := s.in[start+1 : s.pos-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(unquote(s.in[start:s.pos]))
		}
		s.space()
		s.pos++ // the colon
		s.value(where{parent: at.key, key: key, depth: at.depth + 1})
	}
}

func (s *scrubber) array(at where) {
	for s.more(']') {
		s.value(where{parent: at.parent, key: at.key, depth: at.depth + 2})
	}
}

// more steps over the opening bracket or a comma to the next member, or over the
// closing bracket.
func (s *scrubber) more(end byte) bool {
	s.space()
	if s.in[s.pos] != end {
		s.pos++
		s.space()
	}
	if s.in[s.pos] == end {
		s.pos++
		return false
	}
	return true
}

func (s *scrubber) space() {
	for s.pos < len(s.in) && (s.in[s.pos] == ' ' || s.in[s.pos] == '\n' || s.in[s.pos] == '\t' || s.in[s.pos] == '\r') {
		s.pos++
	}
}

// skipString steps over the literal at pos.
func (s *scrubber) skipString() {
	s.pos++
	for {
		n := bytes.IndexByte(s.in[s.pos:], '"')
		end := s.pos + n
		s.pos = end + 1
		slashes := 0
		for s.in[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return
		}
	}
}

// text rewrites the literal in[start:pos] where it must be.
func (s *scrubber) text(start int, at where) {
	lit := s.in[start:s.pos]
	switch {
	case s.isVolatile(at):
		s.replace(start, "")
	case !suspicious(lit):
	default:
		old := unquote(lit)
		if cut := scrub(old, isProse(at.key)); cut != old {
			s.replace(start, cut)
		}
	}
}

func (s *scrubber) replace(start int, text string) {
	lit, err := json.Marshal(text)
	if err != nil { // cannot be: a string has a JSON form
		lit = []byte(`""`)
	}
	s.out = append(append(s.out, s.in[s.copied:start]...), lit...)
	s.copied = s.pos
}

func (s *scrubber) isVolatile(at where) bool {
	if at.depth < 1 || at.depth > 2 {
		return false
	}
	for _, path := range s.volatile {
		parent, key, nested := strings.Cut(path, ".")
		switch {
		case nested && at.depth == 2 && strings.EqualFold(parent, string(at.parent)) && strings.EqualFold(key, string(at.key)):
			return true
		case !nested && at.depth == 1 && strings.EqualFold(path, string(at.key)):
			return true
		}
	}
	return false
}

// suspicious says quickly whether a literal needs a closer look.
func suspicious(lit []byte) bool {
	return len(lit) > 8 && (lit[1]|0x20 == 'h' && lit[2]|0x20 == 't' || bytes.IndexByte(lit, '\\') >= 0 || bytes.Contains(lit, []byte("oken=")))
}

// isProse names the keys whose values people write.
func isProse(key []byte) bool {
	switch string(key) {
	case "title", "name", "description", "alt_text", "attribution_text", "caption", "file_location":
		return true
	}
	return false
}

func scrub(s string, prose bool) string {
	if !prose && isURL(s) {
		if i := strings.IndexAny(s, "?#"); i >= 0 {
			return s[:i]
		}
		return s
	}
	return withoutTokens(s)
}

func isURL(s string) bool {
	head := strings.ToLower(s[:min(len(s), len("https://"))])
	return head == "https://" || strings.HasPrefix(head, "http://")
}

// withoutTokens empties every token=… of a text.
func withoutTokens(s string) string {
	const mark = "token="
	var out strings.Builder
	for {
		i := strings.Index(s, mark)
		if i < 0 {
			break
		}
		i += len(mark)
		out.WriteString(s[:i])
		s = strings.TrimLeftFunc(s[i:], func(r rune) bool { return !strings.ContainsRune("&\"'<> \t\r\n\\)", r) })
	}
	out.WriteString(s)
	return out.String()
}

func unquote(lit []byte) string {
	if bytes.IndexByte(lit, '\\') < 0 {
		return string(lit[1 : len(lit)-1])
	}
	var s string
	_ = json.Unmarshal(lit, &s) // valid JSON by the contract of stable
	return s
}
