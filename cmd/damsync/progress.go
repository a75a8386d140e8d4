package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress rewrites one line on a terminal, and elsewhere prints a plain line
// when something changed, at most one in five seconds. It may be used from several
// goroutines.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	last     string // said
	shown    string // printed
	at       time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: terminal(w)}
}

// terminal reports whether a standard stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = line
	switch {
	case line == p.shown:
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.shown = line
	case time.Since(p.at) >= 5*time.Second:
		fmt.Fprintln(p.w, line)
		p.shown, p.at = line, time.Now()
	}
}

// end leaves the last line said for all to see.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.last == "":
	case p.terminal || p.last != p.shown:
		if !p.terminal {
			fmt.Fprint(p.w, p.last)
		}
		fmt.Fprintln(p.w)
	}
}
