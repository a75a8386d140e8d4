package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"damsync/dam"
)

// sealing passes a Source of known size on and holds the last bytes back until
// the Source has said that they are the right ones, so that a server which waits
// for them publishes nothing before.
type sealing struct {
	source *dam.Source
	left   int64 // bytes of content still to be passed on
	held   byte
	holds  bool

	// last is asked before the last byte leaves, with the source at its end.
	last func() error
	err  error // what ended it, when it was not the end
}

func newSealing(source *dam.Source, size int64, last func() error) *sealing {
	return &sealing{source: source, left: size, last: last}
}

func (s *sealing) Read(p []byte) (int, error) {
	n, err := s.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *sealing) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.left > 1 {
		n, err := s.source.Read(p[:min(int64(len(p)), s.left-1)])
		s.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: ended early", dam.ErrSource)
		}
		return n, err
	}
	if err := s.finish(); err != nil {
		return 0, err
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	p[0], s.left = s.held, 0
	return 1, nil
}

// finish reads the last byte and the end behind it.
func (s *sealing) finish() error {
	for s.source != nil {
		var buf [2]byte
		n, err := s.source.Read(buf[:])
		if n > 0 && (s.holds || s.left == 0 || n > 1) {
			return fmt.Errorf("%w: more bytes than promised", dam.ErrSource)
		}
		if n == 1 {
			s.held, s.holds = buf[0], true
		}
		switch {
		case errors.Is(err, io.EOF):
			if s.left == 1 && !s.holds {
				return fmt.Errorf("%w: ended early", dam.ErrSource)
			}
			s.source = nil
			return s.last()
		case err != nil:
			return err
		}
	}
	return nil
}

// trailed frames a body of known size as one chunk of the aws-chunked encoding
// with a checksum in the trailer: the server verifies it and keeps it with the
// object, and it need not be known when the request begins.
type trailed struct {
	io.Reader
	length int64 // of the whole body on the wire
}

// trailer is a checksum that is known at the end.
type trailer struct {
	header string
	size   int // of the sum in bytes
	sum    func() ([]byte, error)
}

// newTrailed asks for the checksum after body was read to its end.
func newTrailed(body io.Reader, size int64, t trailer) trailed {
	head := strconv.FormatInt(size, 16) + "\r\n"
	tail := "\r\n0\r\n" + t.header + ":"
	last := &lazy{make: func() (string, error) {
		sum, err := t.sum()
		return tail + base64.StdEncoding.EncodeToString(sum) + "\r\n\r\n", err
	}}
	tailLength := len(tail) + base64.StdEncoding.EncodedLen(t.size) + len("\r\n\r\n")
	return trailed{
		Reader: io.MultiReader(strings.NewReader(head), body, last),
		length: int64(len(head)) + size + int64(tailLength),
	}
}

// lazy is a text that is made when it is first read.
type lazy struct {
	make func() (string, error)
	text *strings.Reader
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.text == nil {
		text, err := l.make()
		if err != nil {
			return 0, err
		}
		l.text = strings.NewReader(text)
	}
	return l.text.Read(p)
}
