package cmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// text decodes a string, and where the API might one day send something else, a
// number or a boolean as its literal and null as "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' && plain(b) {
		*t = text(b[1 : len(b)-1])
		return nil
	}
	switch b[0] {
	case '"':
		return json.Unmarshal(b, (*string)(t))
	case 'n':
		*t = ""
	case '{', '[':
		return fmt.Errorf("a string is wanted, not %s", kind(b))
	default:
		*t = text(b)
	}
	return nil
}

// plain reports whether a string literal is its own content.
func plain(b []byte) bool { return bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) }

func kind(b []byte) string {
	if b[0] == '{' {
		return "an object"
	}
	return "an array"
}

// flag decodes true, "true", 1 and "1"; null is false.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	if t == "" {
		*f = false
		return nil
	}
	v, err := strconv.ParseBool(string(t))
	if err != nil {
		return fmt.Errorf("a boolean is wanted, not %.20q", string(t))
	}
	*f = flag(v)
	return nil
}

// integer decodes 12, 12.0 and "12"; null is 0.
type integer int64

func (n *integer) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	if t == "" {
		*n = 0
		return nil
	}
	if v, err := strconv.ParseInt(string(t), 10, 64); err == nil {
		*n = integer(v)
		return nil
	}
	v, err := strconv.ParseFloat(string(t), 64)
	if err != nil || v != v || v >= 1<<63 || v < -1<<63 {
		return fmt.Errorf("a number is wanted, not %.20q", string(t))
	}
	*n = integer(v)
	return nil
}

// moment decodes an RFC 3339 time with or without a fraction; null and "" are
// the zero time. Times are UTC.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	if t == "" {
		m.Time = time.Time{}
		return nil
	}
	v, err := time.Parse(time.RFC3339Nano, string(t))
	if err != nil {
		return fmt.Errorf("an RFC 3339 time is wanted, not %.40q", string(t))
	}
	m.Time = v.UTC()
	return nil
}
