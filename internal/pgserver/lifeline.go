package pgserver

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lifeline is a pipe that every process of one start inherits and none writes
// to. It ends when the last of them has, so it tells of a server that has no
// pid file yet, as an interrupted pg_ctl leaves one.
type lifeline struct{ ours, theirs *os.File }

func newLifeline() (*lifeline, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe that tells whether the server lives: %w", err)
	}
	return &lifeline{ours: ours, theirs: theirs}, nil
}

// ended waits a moment and reports whether no process holds the other end.
func (l *lifeline) ended() (bool, error) {
	// This process has to let go of it, too; doing so again is no matter.
	if err := l.theirs.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return false, err
	}
	if err := l.ours.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return false, err
	}
	_, err := l.ours.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return true, nil // end of file: nothing is ever written
}

func (l *lifeline) close() {
	_, _ = l.ours.Close(), l.theirs.Close()
}
