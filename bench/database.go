package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"damsync/internal/pgserver"
	"damsync/migrations"
	"damsync/store"

	"github.com/jackc/pgx/v5/pgxpool"
)

// database is a migrated database on a private PostgreSQL of its own, as durable as the daemon's.
type database struct {
	url   string
	pool  *pgxpool.Pool
	store *store.Store
}

// withDatabase starts a server in a temporary directory, and removes both after do.
func withDatabase(ctx context.Context, do func(context.Context, *database) error) (err error) {
	dir, err := os.MkdirTemp("", "damsync-bench-")
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if os.Geteuid() == 0 { // the server's user has to pass
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // it holds nothing of value
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	server, err := pgserver.Open(ctx, pgserver.Options{DataDir: dir})
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, server.Close(ctx))
	}()
	if _, err := migrations.Apply(ctx, server.URL()); err != nil {
		return err
	}
	pool, err := store.Connect(ctx, server.URL())
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(ctx, &database{url: server.URL(), pool: pool, store: store.New(pool, "bench")})
}

func (d *database) exec(ctx context.Context, sql string, args ...any) error {
	if _, err := d.pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("prepare database: %w", err)
	}
	return nil
}

// wal is how many bytes were ever written ahead.
func (d *database) wal(ctx context.Context) (n int64, err error) {
	err = d.pool.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read position of the log: %w", err)
	}
	return n, nil
}
