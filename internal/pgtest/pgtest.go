// Package pgtest gives each test its own PostgreSQL database.
//
// The server is that of DAMSYNC_TEST_DATABASE_URL, whose user must be allowed to
// create databases. If the variable is not set, all test binaries of a run share
// a private server: the first starts it, and the last to exit stops it. The
// databases are clones of a template, which is created once for each set of
// migrations. A run removes what killed runs left behind.
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

// cleanupTimeout limits the work after a test, whose context has ended.
const cleanupTimeout = 30 * time.Second

// shared is this test binary's share in the server of the run.
var shared process //nolint:gochecknoglobals // one for each process

// Main runs the tests, releases the server, and exits.
func Main(m *testing.M) { os.Exit(run(m)) }

// MainNoLeaks is Main for packages that start goroutines. The binary fails if
// the tests pass but leave a goroutine running.
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

// Pool returns a pool on a new database with all migrations applied. It closes
// the pool and drops the database when the test ends.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), URL(tb))
	if err != nil {
		tb.Fatalf("open pool: %v", err)
	}
	tb.Cleanup(func() { closePool(tb, pool) })
	return pool
}

// closePool closes the pool. It fails the test if a connection was not
// released, because Pool.Close would wait for it forever.
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

// URL returns the connection URL of a new database with all migrations applied.
// It drops the database, even with open connections, when the test ends.
func URL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, (*process).createMigrated)
}

// EmptyURL is URL without migrations.
func EmptyURL(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, (*process).createEmpty)
}

func newDatabase(tb testing.TB, create func(*process, context.Context) (string, error)) string {
	tb.Helper()
	if err := shared.open(tb.Context()); err != nil {
		tb.Fatalf("open PostgreSQL for tests: %v", err)
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
