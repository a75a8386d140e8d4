// Package secret keeps secrets from being printed: a String masks itself in
// every formatting verb, in JSON, YAML and logs.
package secret

// String is a secret text.
type String struct{ s string }

// New wraps s.
func New(s string) String { return String{s: s} }

// Reveal returns the secret itself, for the one place that needs it.
func (s String) Reveal() string { return s.s }

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.s == "" }

func (s String) String() string {
	if s.s == "" {
		return ""
	}
	return "[secret]"
}

// GoString masks %#v.
func (s String) GoString() string { return s.String() }

// MarshalText masks JSON, YAML and text logs.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
