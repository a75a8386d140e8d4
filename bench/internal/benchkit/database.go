package benchkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"damsync/internal/pgserver"
	"damsync/migrations"
	"damsync/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is a migrated database on a private PostgreSQL server.
type Database struct {
	URL   string
	Pool  *pgxpool.Pool
	Store *store.Store
}

// WithDatabase runs use with a database that is as durable as the daemon's, on a server in a
// temporary directory, and removes the server afterwards.
func WithDatabase(ctx context.Context, use func(context.Context, *Database) error) error {
	return withServer(ctx, pgserver.Options{}, func(ctx context.Context, url string) error {
		if _, err := migrations.Apply(ctx, url); err != nil {
			return err
		}
		pool, err := store.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		return use(ctx, &Database{URL: url, Pool: pool, Store: store.New(pool, "bench")})
	})
}

// WithClock is WithDatabase on a virtual clock: whenever a connection is acquired from the pool, now
// becomes the database's time. Such a database is not durable.
func WithClock(ctx context.Context, now func() time.Time, use func(context.Context, *Database) error) error {
	return withServer(ctx, pgserver.Options{Unsafe: true}, func(ctx context.Context, url string) error {
		if err := shadowClock(ctx, url); err != nil {
			return fmt.Errorf("make virtual clock: %w", err)
		}
		if _, err := migrations.Apply(ctx, url); err != nil {
			return err
		}
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return fmt.Errorf("open database: %w", err)
		}
		cfg.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			shows := now().UTC()
			if conn.PgConn().CustomData()["now"] == shows {
				return true, nil
			}
			conn.PgConn().CustomData()["now"] = shows
			_, err := conn.Exec(ctx, `SELECT set_config('virtual.now', $1, false)`, shows.Format(time.RFC3339Nano))
			return err == nil, err
		}
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return fmt.Errorf("open database: %w", err)
		}
		defer pool.Close()
		return use(ctx, &Database{URL: url, Pool: pool, Store: store.New(pool, "bench")})
	})
}

// shadowClock makes all later sessions find a virtual clock before PostgreSQL's own. The schema must
// not exist yet: column defaults keep the function that they were created with.
func shadowClock(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		`CREATE SCHEMA virtual`,
		`CREATE FUNCTION virtual.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT current_setting('virtual.now')::timestamptz$$`,
		`CREATE FUNCTION virtual.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT current_setting('virtual.now')::timestamptz$$`,
		`ALTER ROLE CURRENT_USER SET search_path = virtual, pg_catalog`,
		`ALTER ROLE CURRENT_USER SET timezone = 'UTC'`,
		`ALTER ROLE CURRENT_USER SET virtual.now = '2000-01-01'`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// withServer starts a server in a temporary directory and removes both after use.
func withServer(ctx context.Context, o pgserver.Options, use func(ctx context.Context, url string) error) (err error) {
	if o.DataDir, err = os.MkdirTemp("", "damsync-bench-"); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.DataDir)) }()
	if os.Geteuid() == 0 { // the server runs as another user, who has to pass
		if err := os.Chmod(o.DataDir, 0o711); err != nil { //nolint:gosec // it holds no secret
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	server, err := pgserver.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, server.Close(ctx))
	}()
	return use(ctx, server.URL())
}

// Exec runs a statement that prepares the database.
func (d *Database) Exec(ctx context.Context, sql string, args ...any) error {
	if _, err := d.Pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("prepare database: %w", err)
	}
	return nil
}
