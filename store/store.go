// Package store keeps damsync's state in PostgreSQL, one file an aggregate: the
// mirror, lookups and the inbox, placements, runs, the shared pace and quota,
// tokens and leases. Everything that replicas share is decided here, on the
// database's clock and in its transactions.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/state"
)

// Channel is the NOTIFY channel that wakes replicas; its payload is a state.Topic.
const Channel = "damsync"

// Store is safe for concurrent use. Its methods return errors wrapped with what
// was being done.
type Store struct {
	pool *pgxpool.Pool
	id   string // this process, the owner of its leases
}

// New uses pool, which the caller closes. id names this process among the
// replicas; leases carry it.
func New(pool *pgxpool.Pool, id string) *Store {
	return &Store{pool: pool, id: id}
}

// Connect opens a pool on url with the settings the store relies on. The caller
// closes it.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("parse database url: it is not a PostgreSQL URL") // the cause may quote a password
	}
	cfg.MaxConns = 16
	cfg.ConnConfig.RuntimeParams["application_name"] = "damsync"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// What is acknowledged, spent or intended must survive a crash of the server too.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return pool, nil
}

// inTx runs fn in one transaction, again when the database broke it off because
// two transactions waited for each other: fn sets what it returns anew each time.
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

func isDeadlock(err error) bool {
	const deadlockDetected, serializationFailure = "40P01", "40001"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == deadlockDetected || pg.Code == serializationFailure)
}

// notify wakes the replicas when tx commits.
func notify(ctx context.Context, tx pgx.Tx, topic state.Topic) error {
	if _, err := tx.Exec(ctx, `SELECT pg_notify($1, $2)`, Channel, string(topic)); err != nil {
		return fmt.Errorf("notify %s: %w", topic, err)
	}
	return nil
}

// cleanText makes s storable: PostgreSQL's text takes neither NUL nor invalid
// UTF-8, and one odd title must not stop a page.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
