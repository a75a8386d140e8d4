package cmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// text decodes a string. In case the API changes a type one day, it also decodes numbers
// and booleans as their literals, and null as "".
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
		return fmt.Errorf("want a string, got %s", kind(b))
	default:
		*t = text(b)
	}
	return nil
}

// plain reports whether a string literal needs no unescaping.
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
		return fmt.Errorf("want a boolean, got %.20q", string(t))
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
		return fmt.Errorf("want a number, got %.20q", string(t))
	}
	*n = integer(v)
	return nil
}

// moment decodes an RFC 3339 time, with or without a fraction, as UTC. null and "" are
// the zero time.
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
		return fmt.Errorf("want an RFC 3339 time, got %.40q", string(t))
	}
	m.Time = v.UTC()
	return nil
}

// members returns the members of an object, and none for any other value. raw must be
// valid JSON or empty.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if isObject(raw) {
		_ = json.Unmarshal(raw, &m) // cannot fail: raw is a valid object
	}
	return m
}

// textOf returns a string, number or boolean as text, and "" for any other value.
func textOf(raw json.RawMessage) string {
	var t text
	if len(raw) == 0 || t.UnmarshalJSON(raw) != nil {
		return ""
	}
	return string(t)
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}
