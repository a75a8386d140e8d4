// Package benchkit holds what the programs that measure damsync share: their command line, the
// sheet of figures and bounds, child processes, a private PostgreSQL and libraries in memory.
package benchkit

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

// Main runs a program and returns its exit code: 0, or 1 when it fails or misses a bound. It parses
// the flags, measures and prints the figures. In a process started by Command it runs a part instead.
func Main(measure func(context.Context, *Sheet) error, parts Parts) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, measure, parts); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		return 1
	}
	return 0
}

func run(ctx context.Context, measure func(context.Context, *Sheet) error, parts Parts) error {
	if IsChild() {
		return parts.run(ctx, os.Args[2:])
	}
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	flag.Usage = usage
	flag.Parse()
	var s Sheet
	if err := measure(ctx, &s); err != nil {
		return err
	}
	return s.report(os.Stdout, *asJSON)
}

func usage() {
	name := filepath.Base(os.Args[0])
	fmt.Fprintf(flag.CommandLine.Output(), "What it measures, the bounds and examples: go doc ./bench/%s\n\nFlags of %s:\n", name, name)
	flag.PrintDefaults()
}

// Quantity is a flag that also accepts 1e6.
type Quantity int

// String implements flag.Value.
func (q *Quantity) String() string { return strconv.Itoa(int(*q)) }

// Set implements flag.Value.
func (q *Quantity) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || v > 1e9 || v != math.Trunc(v) {
		return fmt.Errorf("%q is not a whole number from 0 to 1e9", text)
	}
	*q = Quantity(v)
	return nil
}
