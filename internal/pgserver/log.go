package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	maxLogSize  = 8 << 20
	maxTailSize = 8 << 10
	tailLines   = 12
)

// serverLog is the file the server writes to, with the offset at which this
// start begins.
type serverLog struct {
	f     *os.File
	start int64
}

// openLog opens the log for appending while no server runs. It first renames a
// large log to .1, replacing an earlier one.
func openLog(path string) (*serverLog, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rotate server log: %w", err)
		}
	}
	f, err := openFile(path, os.O_APPEND|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open server log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &serverLog{f: f, start: info.Size()}, nil
}

// tail returns the last lines written since the log was opened.
func (l *serverLog) tail() string {
	info, err := l.f.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(l.start, info.Size()-maxTailSize)
	text, err := io.ReadAll(io.NewSectionReader(l.f, from, info.Size()-from))
	if err != nil {
		return err.Error()
	}
	return lastLines(text)
}

// lastLines returns the last lines of a program's output.
func lastLines(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n")))
}
