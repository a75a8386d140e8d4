package s3

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"damsync/dam"
)

// verifiedReader passes on a Source of known size. It holds back the last byte until the Source
// has verified the content, so that a server which waits for that byte publishes nothing before.
type verifiedReader struct {
	source *dam.Source
	left   int64 // bytes of content to pass on
	held   byte
	holds  bool

	beforeLast func() error // runs before the last byte is passed on, with the source at its end
	err        error        // what ended the content early
}

func newVerifiedReader(source *dam.Source, size int64, beforeLast func() error) *verifiedReader {
	return &verifiedReader{source: source, left: size, beforeLast: beforeLast}
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		v.err = err
	}
	return n, err
}

func (v *verifiedReader) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if v.left > 1 {
		n, err := v.source.Read(p[:min(int64(len(p)), v.left-1)])
		v.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: ended early", dam.ErrSource)
		}
		return n, err
	}
	if err := v.finish(); err != nil {
		return 0, err
	}
	if v.left == 0 {
		return 0, io.EOF
	}
	p[0], v.left = v.held, 0
	return 1, nil
}

// finish reads the last byte and the end after it.
func (v *verifiedReader) finish() error {
	for v.source != nil {
		var buf [2]byte
		n, err := v.source.Read(buf[:])
		if n > 0 && (v.holds || v.left == 0 || n > 1) {
			return fmt.Errorf("%w: more bytes than promised", dam.ErrSource)
		}
		if n == 1 {
			v.held, v.holds = buf[0], true
		}
		switch {
		case errors.Is(err, io.EOF):
			if v.left == 1 && !v.holds {
				return fmt.Errorf("%w: ended early", dam.ErrSource)
			}
			v.source = nil
			return v.beforeLast()
		case err != nil:
			return err
		}
	}
	return nil
}

// stoppableReader ends a body for a connection that may still be reading it after the server has
// answered.
type stoppableReader struct {
	mu      sync.Mutex
	r       io.Reader
	stopped bool
}

func (s *stoppableReader) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return 0, io.ErrClosedPipe
	}
	return s.r.Read(p)
}

// stop waits for a pending Read. Later ones fail.
func (s *stoppableReader) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}
