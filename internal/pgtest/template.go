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
	// lockSpace is the first key of every advisory lock of this package; the
	// second is a mark's, or templateLock.
	lockSpace = 0x64616d73
	// templateLock is held while templates are made and leftovers removed.
	templateLock = 0
)

// mark is an advisory lock that a test binary holds while it lives. The names
// of its databases carry the key, so that others can tell a living owner from
// a dead one, on whatever machine it runs.
type mark struct {
	conn *pgx.Conn
	key  int32 // positive
}

func setMark(ctx context.Context, address string, key int32) (*mark, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockSpace, key); err != nil {
		return nil, errors.Join(fmt.Errorf("mark databases: %w", err), conn.Close(ctx))
	}
	return &mark{conn: conn, key: key}, nil
}

func (m *mark) prefix() string { return fmt.Sprintf("%s%d_", testPrefix, m.key) }

// owner returns the key in a database's name.
func owner(database string) (key int32, ok bool) {
	rest, ok := strings.CutPrefix(database, testPrefix)
	digits, _, found := strings.Cut(rest, "_")
	n, err := strconv.ParseInt(digits, 10, 32)
	return int32(n), ok && found && err == nil
}

// alive reports whether a binary holds the mark. It reads the list of locks,
// which covers the whole server: a lock itself belongs to the maintenance
// database, and binaries may have different ones.
func alive(ctx context.Context, conn *pgx.Conn, key int32) (held bool, err error) {
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks
		WHERE locktype = 'advisory' AND classid = $1::int8::oid AND objid = $2::int8::oid AND objsubid = 2)`,
		int64(lockSpace), int64(key)).Scan(&held)
	return held, err
}

// makeTemplate creates the template unless it exists. It gets its name when it
// is complete, and nobody may connect to it then: a connection would keep it
// from being copied.
func (p *process) makeTemplate(ctx context.Context, name string) error {
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
			return p.lostRace(ctx, err, unfinished)
		}
		return p.exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	})
}

// lostRace forgives that a binary with another maintenance database, which the
// lock does not reach, made the same template meanwhile.
func (p *process) lostRace(ctx context.Context, err error, unfinished string) error {
	const duplicateDatabase = "42P04"
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == duplicateDatabase {
		err = nil
	}
	return errors.Join(err, p.drop(ctx, unfinished))
}

// locked runs do while no other test binary makes a template or tidies up.
func (p *process) locked(ctx context.Context, do func(*pgx.Conn) error) error {
	conn := p.mark.conn
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockSpace, templateLock); err != nil {
		return err
	}
	err := do(conn)
	_, unlockErr := conn.Exec(ctx, `SELECT pg_advisory_unlock($1, $2)`, lockSpace, templateLock)
	return errors.Join(err, unlockErr)
}

// removeLeftovers drops the databases of test binaries that are no more, and
// on the private server the templates of other migrations when nobody else is
// there to use them.
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
	key, ok := owner(name)
	if !ok || key == p.mark.key {
		return nil
	}
	if living, err := alive(ctx, conn, key); err != nil || living {
		return err
	}
	return p.drop(ctx, name)
}
