package main

import (
	"errors"
	"fmt"
	"io"

	"damsync/internal/config"
	"damsync/internal/grant"
	"damsync/internal/secret"
)

// The exit codes are a fixed interface.
const (
	exitDone     = 0
	exitFailure  = 1
	exitUsage    = 2 // usage or configuration
	exitDeferred = 3 // the quota defers the rest of the work
	exitFailed   = 4 // done, with failed placements
	exitHeld     = 5 // removals are held
)

// exitError ends the program with an exit code. An empty text prints no message.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// usage returns the error of a mistake on the command line. The text says how to correct it.
func usage(format string, args ...any) error {
	return &exitError{code: exitUsage, text: fmt.Sprintf(format, args...)}
}

// report prints err and returns its exit code.
func report(w io.Writer, err error) int {
	var exit *exitError
	var problems config.Problems
	var deferred *grant.Deferred
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintln(w, "damsync: "+exit.text)
		}
		return exit.code
	case errors.As(err, &problems):
		fmt.Fprintln(w, problems.Error())
		return exitUsage
	case errors.Is(err, secret.ErrBadKey):
		fmt.Fprintln(w, "damsync: "+err.Error())
		return exitUsage
	case errors.As(err, &deferred):
		fmt.Fprintf(w, "damsync: %s; work continues from where it stopped\n", deferred.Error())
		return exitDeferred
	default:
		fmt.Fprintln(w, "damsync: "+err.Error())
		return exitFailure
	}
}
