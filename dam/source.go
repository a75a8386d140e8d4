package dam

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Source is the body of an Object: a stream that is read once, hashed on the way,
// and compared with what was promised. Read returns io.EOF only when size and
// SHA-256 are right, so an adapter that publishes after io.EOF never publishes a
// broken download. Not safe for concurrent use.
type Source struct {
	r          io.Reader
	hash       hash.Hash
	wantSize   int64
	wantSHA256 string
	size       int64
	err        error
}

// NewSource wraps r, which Close closes when it is an io.Closer. size is the promised
// length in bytes or UnknownSize; sha256hex is the promised digest in lower-case hex
// or empty.
func NewSource(r io.Reader, size int64, sha256hex string) *Source {
	return &Source{r: r, hash: sha256.New(), wantSize: size, wantSHA256: sha256hex}
}

// ResumeSource is NewSource for a stream that continues at from.Offset; promises,
// digest and Seal are still those of the whole content. ErrCheckpoint: from is not a
// valid checkpoint.
func ResumeSource(r io.Reader, from Checkpoint, size int64, sha256hex string) (*Source, error) {
	s := NewSource(r, size, sha256hex)
	if from.Offset == 0 {
		return s, nil
	}
	state, ok := s.hash.(encoding.BinaryUnmarshaler)
	if !ok || from.Offset < 0 || size >= 0 && from.Offset > size {
		return nil, fmt.Errorf("%w: offset %d of %d bytes", ErrCheckpoint, from.Offset, size)
	}
	if err := state.UnmarshalBinary(from.SHA256State); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	s.size = from.Offset
	return s, nil
}

// Checkpoint is a position in the content with the state of the digest up to it. An
// adapter keeps it in its session, to open the content from there later. The zero
// value is the beginning.
type Checkpoint struct {
	Offset      int64  `json:"offset"` // bytes
	SHA256State []byte `json:"sha256_state,omitempty"`
}

// Checkpoint returns the position after the bytes read so far.
func (s *Source) Checkpoint() (Checkpoint, error) {
	if s.err != nil && s.err != io.EOF { //nolint:errorlint // verify returns io.EOF itself
		return Checkpoint{}, s.err
	}
	state, ok := s.hash.(encoding.BinaryMarshaler)
	if !ok {
		return Checkpoint{}, fmt.Errorf("%w: no state of the digest", ErrCheckpoint)
	}
	raw, err := state.MarshalBinary()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return Checkpoint{Offset: s.size, SHA256State: raw}, nil
}

// Opener makes an Object.Open from a function that opens the content at an offset in
// bytes. The function's errors become ErrSource.
func Opener(
	size int64, sha256hex string, at func(ctx context.Context, offset int64) (io.ReadCloser, error),
) func(context.Context, Checkpoint) (*Source, error) {
	return func(ctx context.Context, from Checkpoint) (*Source, error) {
		if _, err := ResumeSource(nil, from, size, sha256hex); err != nil {
			return nil, err // before anything is opened
		}
		r, err := at(ctx, from.Offset)
		if err != nil {
			return nil, fmt.Errorf("%w: open at byte %d: %w", ErrSource, from.Offset, err)
		}
		return ResumeSource(r, from, size, sha256hex)
	}
}

// Size returns the promised length in bytes or UnknownSize.
func (s *Source) Size() int64 { return s.wantSize }

// Read implements io.Reader. Each error but io.EOF is ErrSource and final.
func (s *Source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.size += int64(n)
	s.hash.Write(p[:n]) // never fails
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

// verify returns io.EOF when the whole stream is what was promised.
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

// Seal returns m with SHA-256 and size of the bytes read. It fails unless Read has
// returned io.EOF.
func (s *Source) Seal(m OwnerMark) (OwnerMark, error) {
	if s.err != io.EOF { //nolint:errorlint // verify returns io.EOF itself
		return OwnerMark{}, fmt.Errorf("%w: sealed before its end", ErrSource)
	}
	m.SHA256, m.Size = s.digest(), s.size
	return m, nil
}

// Close closes the stream, read to its end or not.
func (s *Source) Close() error {
	if s.err == nil {
		s.err = fmt.Errorf("%w: closed", ErrSource)
	}
	if c, ok := s.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
