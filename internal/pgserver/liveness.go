package pgserver

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// livenessPipe is inherited by every process of one start, and none writes to
// it. Its read end reports the end of file once the last of them has exited. So
// it also covers a server that has no pid file yet, which an interrupted pg_ctl
// can leave behind.
type livenessPipe struct{ readEnd, writeEnd *os.File }

func newLivenessPipe() (*livenessPipe, error) {
	readEnd, writeEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create liveness pipe: %w", err)
	}
	return &livenessPipe{readEnd: readEnd, writeEnd: writeEnd}, nil
}

// ended waits briefly and reports whether no other process holds the write end.
// It closes this process's own copy of that end.
func (p *livenessPipe) ended() (bool, error) {
	if err := p.writeEnd.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return false, err
	}
	if err := p.readEnd.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return false, err
	}
	_, err := p.readEnd.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded), nil
}

func (p *livenessPipe) close() {
	_, _ = p.readEnd.Close(), p.writeEnd.Close()
}
