package secret

import (
	"encoding/hex"
	"errors"
	"strings"
)

// KeySize is the length of a Key, in bytes.
const KeySize = 32

// ErrBadKey is the class of errors when a key is not 64 hexadecimal digits.
var ErrBadKey = errors.New("key is not 64 hexadecimal digits")

// Key is the master key that seals secrets. Like String, it never prints its
// value.
type Key struct{ bytes [KeySize]byte }

// ParseKey parses a key of 64 hexadecimal digits and ignores white space around
// them. The error is ErrBadKey and does not contain the text.
func ParseKey(text string) (Key, error) {
	var k Key
	text = strings.TrimSpace(text)
	if len(text) != hex.EncodedLen(KeySize) {
		return Key{}, ErrBadKey
	}
	if _, err := hex.Decode(k.bytes[:], []byte(text)); err != nil {
		return Key{}, ErrBadKey
	}
	return k, nil
}

func (k Key) hex() string { return hex.EncodeToString(k.bytes[:]) }

// String returns the mask.
func (k Key) String() string { return "[secret]" }

// MarshalText returns the mask, for JSON, YAML and text logs.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
