package store

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
)

// clock is a database clock that stands still until the test moves it. Its functions shadow clock_timestamp and now in
// sessions that have its schema first in their search path, in stored functions too, but not in column defaults.
type clock struct {
	t    *testing.T
	pool *pgxpool.Pool
}

// fakeClock returns a pool whose sessions use the clock, set to now.
func fakeClock(t *testing.T, now time.Time) (*pgxpool.Pool, *clock) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = "fake, pg_catalog"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	exec(t, pool, `CREATE SCHEMA fake`)
	exec(t, pool, `CREATE TABLE fake.clock (shows timestamptz NOT NULL)`)
	exec(t, pool, `INSERT INTO fake.clock VALUES ($1)`, now)
	exec(t, pool, `CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT shows FROM fake.clock'`)
	exec(t, pool, `CREATE FUNCTION fake.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT shows FROM fake.clock'`)
	return pool, &clock{t: t, pool: pool}
}

func (c *clock) set(now time.Time) {
	c.t.Helper()
	exec(c.t, c.pool, `UPDATE fake.clock SET shows = $1`, now)
}

func (c *clock) advance(d time.Duration) {
	c.t.Helper()
	exec(c.t, c.pool, `UPDATE fake.clock SET shows = shows + $1::interval`, d)
}

func exec(t tb, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the one value that sql selects.
func query[T any](t tb, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func utcTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
