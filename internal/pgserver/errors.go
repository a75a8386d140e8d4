package pgserver

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoBinaries is the class of errors when no usable PostgreSQL binaries
	// were found or downloaded.
	ErrNoBinaries = errors.New("no PostgreSQL binaries")
	// ErrVersion is the class of errors when the binaries found have another
	// major version than the cluster.
	ErrVersion = errors.New("cluster of another PostgreSQL version")
	// ErrUnavailable is the class of errors when the server did not become
	// ready, or did not stop, in the time allowed. A retry can succeed.
	ErrUnavailable = errors.New("PostgreSQL is not available")
	// ErrUnreachable is the class of errors when the server's user cannot enter
	// the data directory.
	ErrUnreachable = errors.New("data directory not accessible for PostgreSQL's user")
	// ErrInUse is returned by Remove while a process uses the server.
	ErrInUse = errors.New("PostgreSQL server is in use")
)

// classError adds a class and a cause to a message without changing its text.
type classError struct {
	text  string
	class error
	cause error
}

func (e *classError) Error() string   { return e.text }
func (e *classError) Unwrap() []error { return []error{e.class, e.cause} }

// noBinaries says in two lines what failed and what to do, for users who have
// never thought about PostgreSQL.
func noBinaries(notFound, fetchFailed error) error {
	const advice = "install PostgreSQL (apt-get install postgresql), or set database.url to your own server, or set DAMSYNC_PG_BIN to the directory with initdb, postgres and pg_ctl"
	text := fmt.Sprintf("%s, and downloading them failed: %s\n%s", oneLine(notFound), oneLine(fetchFailed), advice)
	return &classError{text: text, class: ErrNoBinaries, cause: fetchFailed}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
