package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// Names in every cluster that damsync creates.
const (
	userName     = "damsync"
	databaseName = "damsync"
)

// instance is one server with its files, user and binaries.
type instance struct {
	layout         layout
	account        account
	bin            Binaries
	maxConnections int
	unsafe         bool
	timeout        time.Duration
	log            zerolog.Logger

	// started is the pipe of the server that this instance started, even if the
	// server did not become ready. It is nil after joining a running server.
	started *livenessPipe

	// The running server:
	socketDir, port string
	ours            bool // damsync started it
}

func (s *instance) url(database string) string {
	return connectURL(s.socketDir, s.port, database)
}

// joinOrStart joins the running server or starts one, and creates the database
// if it does not exist. The caller holds the start lock.
func joinOrStart(ctx context.Context, l layout, opt Options) (s *instance, joined bool, _ error) {
	s = &instance{
		layout: l, maxConnections: opt.MaxConnections, unsafe: opt.Unsafe,
		timeout: opt.StartTimeout, log: opt.Log,
	}
	joined, err := s.join(ctx)
	if err == nil && !joined {
		err = s.start(ctx, opt)
	}
	if err == nil {
		err = s.prepare(ctx)
	}
	if s.started != nil {
		if ctx.Err() != nil { // the caller has given up waiting
			err = errors.Join(cmp.Or(err, ctx.Err()), s.stopStarted(ctx))
		}
		s.started.close()
	}
	return s, joined, err
}

// join waits until a running server accepts connections. It returns false if
// none runs, or if it exits while join waits.
func (s *instance) join(ctx context.Context) (joined bool, _ error) {
	wait, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var last postmaster
	err := poll(wait, func() (bool, error) {
		pm, running, err := runningPostmaster(s.layout.cluster())
		if err != nil || !running {
			return true, err
		}
		last = pm
		joined, err = s.accepts(wait, pm)
		return joined, err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, fmt.Errorf("%w: the server of %s (process %d) has been %q for %s; see %s",
			ErrUnavailable, s.layout.cluster(), last.pid, last.status, s.timeout, s.layout.serverLog())
	}
	return joined, err
}

// accepts reports whether the server accepts connections. A server that is
// starting or stopping does not, and that is not an error.
func (s *instance) accepts(ctx context.Context, pm postmaster) (bool, error) {
	if pm.socketDir == "" || pm.status == "stopping" {
		return false, nil
	}
	s.socketDir, s.port = pm.socketDir, pm.port
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err == nil {
		return true, conn.Close(ctx)
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code != cannotConnectNow && answer.Code != tooManyConnections {
		return false, fmt.Errorf("join the running server: %w", err)
	}
	if errors.Is(err, os.ErrPermission) {
		return false, fmt.Errorf("join the running server, which belongs to another user: %w", err)
	}
	return false, nil
}

// Error codes from appendix A of the PostgreSQL manual.
const (
	cannotConnectNow      = "57P03"
	tooManyConnections    = "53300"
	invalidParameterValue = "22023"
	undefinedObject       = "42704"
)

// prepare creates the database on first use and finds out whether damsync
// started the server.
func (s *instance) prepare(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var found bool
	err = conn.QueryRow(ctx, `SELECT current_setting('cluster_name') = $1,
		EXISTS (SELECT FROM pg_database WHERE datname = $2)`, clusterName, databaseName).Scan(&s.ours, &found)
	if err != nil {
		return fmt.Errorf("look up the private database: %w", err)
	}
	if !found {
		err = createDatabase(ctx, conn)
	}
	return err
}

func createDatabase(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+databaseName); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	// lz4 exists since version 14 and is optional in a build of PostgreSQL.
	_, err := conn.Exec(ctx, `ALTER DATABASE `+databaseName+` SET default_toast_compression = 'lz4'`)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == invalidParameterValue || answer.Code == undefinedObject) {
		return nil
	}
	return err
}

// stop shuts the server down and waits until it has exited.
func (s *instance) stop(ctx context.Context) error {
	pm, running, err := runningPostmaster(s.layout.cluster())
	if err != nil || !running {
		return err
	}
	if err := interrupt(pm.pid); err != nil {
		return err
	}
	err = poll(ctx, func() (bool, error) { return !isPostmaster(pm.pid, s.layout.cluster()), nil })
	if err != nil {
		return fmt.Errorf("%w: process %d is still shutting down: %w", ErrUnavailable, pm.pid, err)
	}
	s.log.Info().Msg("private PostgreSQL stopped")
	return nil
}

// interrupt requests a fast shutdown, which does not wait for clients. A server
// that has already exited is not an error.
func interrupt(pid int) error {
	if err := unix.Kill(pid, unix.SIGINT); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop PostgreSQL (process %d): %w", pid, err)
	}
	return nil
}
