package pgserver

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoBinaries is the class of errors where no PostgreSQL was found, or
	// none that works.
	ErrNoBinaries = errors.New("no PostgreSQL binaries")
	// ErrVersion is the class of errors where the cluster was made by another
	// major version of PostgreSQL than the binaries found.
	ErrVersion = errors.New("cluster of another PostgreSQL version")
	// ErrUnavailable is the class of errors where the server did not become
	// ready, or did not stop, within the time allowed. Trying again is sound.
	ErrUnavailable = errors.New("PostgreSQL is not available")
	// ErrUnreachable is the class of errors where the server's user cannot
	// enter any directory that could hold the cluster.
	ErrUnreachable = errors.New("directory not reachable for PostgreSQL's user")
	// ErrInUse is returned by Remove while a process uses the server.
	ErrInUse = errors.New("PostgreSQL server is in use")
)

// classError is a text with a class and a cause, neither of which is added to
// the text.
type classError struct {
	text  string
	class error
	cause error
}

func (e *classError) Error() string   { return e.text }
func (e *classError) Unwrap() []error { return []error{e.class, e.cause} }

// noServer tells a user who never thought about PostgreSQL what to do, in two
// lines.
func noServer(found, cause error) error {
	const advice = "Install it (apt-get install postgresql), or set DAMSYNC_PG_BIN to the directory with initdb, postgres and pg_ctl, or set database.url to a server of yours."
	text := fmt.Sprintf("%s; downloading it failed: %s\n%s", oneLine(found), oneLine(cause), advice)
	return &classError{text: text, class: ErrNoBinaries, cause: cause}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
