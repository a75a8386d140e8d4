package secret

import (
	"encoding/hex"
	"errors"
	"strings"
)

// KeySize is the length of a Key, in bytes.
const KeySize = 32

// ErrBadKey is the class of a key that is not 64 hexadecimal digits.
var ErrBadKey = errors.New("key is not 64 hexadecimal digits")

// Key is the master key that secrets are sealed with. It masks itself as String
// does.
type Key struct{ bytes [KeySize]byte }

// ParseKey reads a key from 64 hexadecimal digits; white space around them is
// ignored. The error is ErrBadKey and does not repeat the text.
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

func (k Key) String() string { return "[secret]" }

// MarshalText masks JSON, YAML and text logs.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
