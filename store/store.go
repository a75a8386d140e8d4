// Package store keeps damsync's state in PostgreSQL, one file for each aggregate: the mirror, lookups and the inbox,
// placements, runs, the shared pace and quota, tokens and leases. Everything that replicas share is decided here,
// by the database's clock and in its transactions.
//
// Two conditions have names in SQL: damsync.is_dirty of a placement and damsync.is_pending of a lookup.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store is safe for concurrent use. Its methods return errors wrapped with what they were doing.
type Store struct {
	pool *pgxpool.Pool
	id   string // this process, the owner of its leases
}

// New returns a Store on pool, which the caller closes. id names this process among the replicas; leases carry it.
func New(pool *pgxpool.Pool, id string) *Store {
	return &Store{pool: pool, id: id}
}

// Connect opens a pool on url with the settings that the store relies on. The caller closes it.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("parse database url: it is not a PostgreSQL URL") // the cause may quote a password
	}
	cfg.MaxConns = 16
	cfg.ConnConfig.RuntimeParams["application_name"] = "damsync"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// What is acknowledged, spent or intended has to survive a crash of the server.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return pool, nil
}

// Now returns the database's time, by which readings are ordered.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read database time: %w", err)
	}
	return now, nil
}

// Instance returns the id in the ownership marks of this installation. It never changes.
func (s *Store) Instance(ctx context.Context) (string, error) {
	var id string
	if err := s.pool.QueryRow(ctx, `SELECT id FROM damsync.instance`).Scan(&id); err != nil {
		return "", fmt.Errorf("read instance: %w", err)
	}
	return id, nil
}

// Epoch returns the version of the folders, label groups and fields, on which the plan of every asset depends.
func (s *Store) Epoch(ctx context.Context) (int64, error) {
	var epoch int64
	if err := s.pool.QueryRow(ctx, `SELECT epoch FROM damsync.instance`).Scan(&epoch); err != nil {
		return 0, fmt.Errorf("read epoch: %w", err)
	}
	return epoch, nil
}

// querier and rowQuerier are what a pool and a transaction have in common here.
type (
	querier interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
	rowQuerier interface {
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}
)

// inTx runs fn in one transaction. It repeats fn when the database ended the transaction because of a deadlock, so
// fn sets its results afresh each time.
func (s *Store) inTx(ctx context.Context, doing string, fn func(pgx.Tx) error) error {
	const tries = 5
	var err error
	for range tries {
		if err = pgx.BeginFunc(ctx, s.pool, fn); !isDeadlock(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// inSnapshot runs fn in a read-only transaction whose queries all see the same snapshot.
func (s *Store) inSnapshot(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

func isDeadlock(err error) bool {
	const deadlockDetected, serializationFailure = "40P01", "40001"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == deadlockDetected || pg.Code == serializationFailure)
}

// isRejected reports whether the data is bad (SQLSTATE class 22 and 23, program limits 54) rather than the database failing.
func isRejected(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	class := pg.Code[:2]
	return class == "22" || class == "23" || class == "54"
}

// columnOf returns the only column of a query's rows.
func columnOf(ctx context.Context, q querier, sql string, args ...any) ([]string, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
