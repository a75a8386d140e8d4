package dam

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Source is the body of an Object: a stream that is read once, hashed on the
// way and held against what was promised. Its last Read gives io.EOF only when
// size and SHA-256 are right, so that an adapter which publishes after io.EOF
// never publishes a broken download. Not safe for concurrent use.
type Source struct {
	r          io.Reader
	hash       hash.Hash
	wantSize   int64
	wantSHA256 string
	size       int64
	err        error
}

// NewSource wraps r. size is the promised length in bytes, UnknownSize when
// nobody promised one; sha256 the promised digest in lower-case hex or empty.
func NewSource(r io.Reader, size int64, sha256hex string) *Source {
	return &Source{r: r, hash: sha256.New(), wantSize: size, wantSHA256: sha256hex}
}

// Size is the promised length in bytes or UnknownSize.
func (s *Source) Size() int64 { return s.wantSize }

// Read reads on. Each error but io.EOF is ErrSource and final.
func (s *Source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.size += int64(n)
	s.hash.Write(p[:n]) //nolint:errcheck // a hash never fails
	switch {
	case s.wantSize >= 0 && s.size > s.wantSize:
		s.err = fmt.Errorf("%w: more than the %d bytes promised", ErrSource, s.wantSize)
	case errors.Is(err, io.EOF):
		s.err = s.verify()
	case err != nil:
		s.err = fmt.Errorf("%w: %w", ErrSource, err)
	}
	return n, s.err
}

// verify gives io.EOF when the whole stream is what was promised.
func (s *Source) verify() error {
	if s.wantSize >= 0 && s.size != s.wantSize {
		return fmt.Errorf("%w: ended after %d of %d bytes", ErrSource, s.size, s.wantSize)
	}
	if s.wantSHA256 != "" && s.digest() != s.wantSHA256 {
		return fmt.Errorf("%w: SHA-256 is %s, promised was %s", ErrSource, s.digest(), s.wantSHA256)
	}
	return io.EOF
}

func (s *Source) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// Seal gives m with SHA-256 and size of the bytes read. It fails unless Read
// gave io.EOF.
func (s *Source) Seal(m Mark) (Mark, error) {
	if s.err != io.EOF { //nolint:errorlint // verify gives io.EOF itself
		return Mark{}, fmt.Errorf("%w: sealed before its end", ErrSource)
	}
	m.SHA256, m.Size = s.digest(), s.size
	return m, nil
}
