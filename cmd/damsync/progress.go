package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows the latest line of progress. On a terminal it rewrites one line; elsewhere it
// prints a line that changed, at most one every five seconds. It is safe for concurrent use.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	last     string    // passed to show
	shown    string    // printed last
	at       time.Time // when shown was printed; not used on a terminal
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: terminal(w)}
}

// terminal reports whether a standard stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progress) show(line string) {
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

// end prints the latest line unless it is shown already, and ends the line on a terminal.
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
