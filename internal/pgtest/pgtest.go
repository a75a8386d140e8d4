// Package pgtest gives each test a PostgreSQL database of its own.
//
// The server is the one of DAMSYNC_TEST_DATABASE_URL, whose user must be
// allowed to create databases, or else a private server that all test binaries
// of a run share: the first starts it, the last to end stops it. Databases are
// clones of a template, which is migrated once for every set of migrations.
// What a killed run leaves behind, the next run removes.
//
// A test binary that uses the package calls Main in its TestMain:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
package pgtest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

// cleanupTimeout bounds what happens after a test, whose context has ended.
const cleanupTimeout = 30 * time.Second

// shared is this test binary's share in the run's server. Tests have no other
// thing in common that could hold it.
var shared process //nolint:gochecknoglobals // one for each process, by its nature

// Main runs the tests, gives up the share in the server, and exits.
func Main(m *testing.M) { os.Exit(run(m)) }

// MainNoLeaks is Main for packages with goroutines of their own: when the
// tests pass and a goroutine is left, the binary fails.
func MainNoLeaks(m *testing.M, options ...goleak.Option) {
	code := run(m)
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintf(os.Stderr, "goleak: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

func run(m *testing.M) int {
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := shared.close(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		return max(code, 1)
	}
	return code
}

// Pool returns a pool on a new database with all migrations applied. The pool
// is closed and the database dropped when the test ends.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), URL(tb))
	if err != nil {
		tb.Fatalf("open pool: %v", err)
	}
	tb.Cleanup(func() { closePool(tb, pool) })
	return pool
}

// closePool closes the pool, which waits for the connections in use: one that
// a test forgot to release fails this test and not, for ever, the run.
func closePool(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pool.Close()
	}()
	select {
	case <-done:
	case <-time.After(cleanupTimeout):
		tb.Errorf("%d connections were not released", pool.Stat().AcquiredConns())
	}
}

// URL returns the connection URL of a new database with all migrations
// applied, which is dropped when the test ends, whoever is connected by then.
func URL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, (*process).migrated)
}

// EmptyURL is URL without migrations.
func EmptyURL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, (*process).empty)
}

func newDatabase(tb testing.TB, create func(*process, context.Context) (string, error)) string {
	tb.Helper()
	if err := shared.open(tb.Context()); err != nil {
		tb.Fatalf("no PostgreSQL for tests: %v", err)
	}
	name, err := create(&shared, tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := shared.drop(ctx, name); err != nil {
			tb.Errorf("drop database of the test: %v", err)
		}
	})
	return shared.url(name)
}
