package pgtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"damsync/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	templatePrefix = "damsync_template_"
	testPrefix     = "damsync_test_"
	// lockSpace is the first key of every advisory lock of this package. The
	// second is the key of an ownerLock, or templateLock.
	lockSpace = 0x64616d73
	// templateLock is held while a process creates a template or removes
	// leftovers.
	templateLock = 0
)

// ownerLock is an advisory lock that a test binary holds until it exits. The
// names of its databases contain the key, so another binary can find out whether
// the owner is alive, even on another machine.
type ownerLock struct {
	conn *pgx.Conn
	key  int32 // positive
}

func lockOwner(ctx context.Context, address string, key int32) (*ownerLock, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockSpace, key); err != nil {
		return nil, errors.Join(fmt.Errorf("acquire owner lock: %w", err), conn.Close(ctx))
	}
	return &ownerLock{conn: conn, key: key}, nil
}

func (l *ownerLock) prefix() string { return fmt.Sprintf("%s%d_", testPrefix, l.key) }

// ownerKey returns the key in the name of a database.
func ownerKey(database string) (key int32, ok bool) {
	rest, ok := strings.CutPrefix(database, testPrefix)
	digits, _, found := strings.Cut(rest, "_")
	n, err := strconv.ParseInt(digits, 10, 32)
	return int32(n), ok && found && err == nil
}

// ownerAlive reports whether a binary holds the lock. It reads pg_locks, which
// covers the whole server. Trying the lock would not be enough, because a lock
// belongs to one maintenance database, and binaries may use different ones.
func ownerAlive(ctx context.Context, conn *pgx.Conn, key int32) (held bool, err error) {
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks
		WHERE locktype = 'advisory' AND classid = $1::int8::oid AND objid = $2::int8::oid AND objsubid = 2)`,
		int64(lockSpace), int64(key)).Scan(&held)
	return held, err
}

// createTemplate creates the template unless it exists. The template gets its
// name when it is complete. From then on it accepts no connections, because a
// connection would prevent copying it.
func (p *process) createTemplate(ctx context.Context, name string) error {
	return p.locked(ctx, func(conn *pgx.Conn) error {
		var found bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&found)
		if err != nil || found {
			return err
		}
		unfinished := p.nextName()
		if err := p.exec(ctx, "CREATE DATABASE "+unfinished+" TEMPLATE template0"); err != nil {
			return err
		}
		if _, err := migrations.Apply(ctx, p.url(unfinished)); err != nil {
			return errors.Join(err, p.drop(ctx, unfinished))
		}
		if err := p.exec(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+name); err != nil {
			return p.dropDuplicate(ctx, err, unfinished)
		}
		return p.exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	})
}

// dropDuplicate drops a template that could not be renamed. It ignores that the
// name exists: a binary with another maintenance database, which the lock does
// not cover, can create the same template at the same time.
func (p *process) dropDuplicate(ctx context.Context, err error, unfinished string) error {
	const duplicateDatabase = "42P04"
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == duplicateDatabase {
		err = nil
	}
	return errors.Join(err, p.drop(ctx, unfinished))
}

// locked runs do while no other test binary creates a template or removes
// leftovers.
func (p *process) locked(ctx context.Context, do func(*pgx.Conn) error) error {
	conn := p.owner.conn
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockSpace, templateLock); err != nil {
		return err
	}
	err := do(conn)
	_, unlockErr := conn.Exec(ctx, `SELECT pg_advisory_unlock($1, $2)`, lockSpace, templateLock)
	return errors.Join(err, unlockErr)
}

// removeLeftovers drops the databases of test binaries that have exited. On a
// private server that this binary started, it also drops the templates of other
// migrations.
func (p *process) removeLeftovers(ctx context.Context) error {
	return p.locked(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname FROM pg_database`)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := p.removeLeftover(ctx, conn, name); err != nil {
				return fmt.Errorf("remove database of an earlier run: %w", err)
			}
		}
		return nil
	})
}

func (p *process) removeLeftover(ctx context.Context, conn *pgx.Conn, name string) error {
	if strings.HasPrefix(name, templatePrefix) {
		if p.server == nil || p.server.Joined() || name == templatePrefix+migrations.Hash() {
			return nil
		}
		return p.drop(ctx, name)
	}
	key, ok := ownerKey(name)
	if !ok || key == p.owner.key {
		return nil
	}
	if alive, err := ownerAlive(ctx, conn, key); err != nil || alive {
		return err
	}
	return p.drop(ctx, name)
}
