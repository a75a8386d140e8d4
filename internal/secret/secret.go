// Package secret protects secrets. A String prints a mask instead of its value
// in every formatting verb, in JSON, YAML and logs. A Sealer encrypts secrets
// for storage with a Key from the environment or a key file.
package secret

// String is a text that must not be printed.
type String struct{ s string }

// New returns a String with the value s.
func New(s string) String { return String{s: s} }

// Reveal returns the value. Call it only where the value is used.
func (s String) Reveal() string { return s.s }

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.s == "" }

// String returns the mask, or "" if the secret is empty.
func (s String) String() string {
	if s.s == "" {
		return ""
	}
	return "[secret]"
}

// GoString returns the mask, for %#v.
func (s String) GoString() string { return s.String() }

// MarshalText returns the mask, for JSON, YAML and text logs.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
