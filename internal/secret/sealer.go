package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Classes of errors returned by Open.
var (
	// ErrWrongKey means that the data was sealed with another key.
	ErrWrongKey = errors.New("sealed with another key")
	// ErrTampered means that the data was changed or truncated after sealing, or
	// sealed with other associated data.
	ErrTampered = errors.New("sealed data is damaged or does not belong here")
)

// Sealer encrypts small secrets for storage with AES-256-GCM and random nonces.
// It is safe for concurrent use. One key may seal up to 2^32 secrets.
type Sealer struct {
	aead cipher.AEAD
	head []byte
}

const (
	sealVersion = 1
	keyIDSize   = 8
)

// NewSealer returns a Sealer that uses k.
func NewSealer(k Key) (*Sealer, error) {
	encryption, err := hkdf.Key(sha256.New, k.bytes[:], nil, "damsync seal v1: encryption", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive encryption key: %w", err)
	}
	id, err := hkdf.Key(sha256.New, k.bytes[:], nil, "damsync seal v1: key id", keyIDSize)
	if err != nil {
		return nil, fmt.Errorf("derive key id: %w", err)
	}
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return nil, fmt.Errorf("create cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("create cipher: %w", err)
	}
	return &Sealer{aead: aead, head: append([]byte{sealVersion}, id...)}, nil
}

// Seal encrypts plaintext and binds it to the associated data, which identifies
// the place of storage (such as a table, column and row) and is not stored. The
// result is a version byte, the id of the key, and the ciphertext.
func (s *Sealer) Seal(plaintext, associated []byte) []byte {
	return s.aead.Seal(bytes.Clone(s.head), nil, plaintext, associated)
}

// Open decrypts the result of Seal with the same key and associated data. The
// error is ErrWrongKey or ErrTampered.
func (s *Sealer) Open(sealed, associated []byte) ([]byte, error) {
	if len(sealed) < len(s.head) || sealed[0] != sealVersion {
		return nil, ErrTampered
	}
	if !bytes.HasPrefix(sealed, s.head) {
		return nil, ErrWrongKey
	}
	plaintext, err := s.aead.Open(nil, nil, sealed[len(s.head):], associated)
	if err != nil {
		return nil, ErrTampered
	}
	return plaintext, nil
}
