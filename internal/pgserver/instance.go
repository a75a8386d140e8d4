package pgserver

import (
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

// instance is one server: where it is, who runs it, with which binaries.
type instance struct {
	place          place
	account        account
	bin            Binaries
	maxConnections int
	unsafe         bool
	timeout        time.Duration
	log            zerolog.Logger

	launched *lifeline // of what this instance launched, whether or not it came up

	// Of the running server:
	socketDir, port string
	ours            bool // damsync started it
}

func (in *instance) url(database string) string {
	return connectURL(in.socketDir, in.port, database)
}

// bringUp joins or starts the server of a place and makes sure the database
// exists. The gate is held.
func bringUp(ctx context.Context, p place, opt Options) (in *instance, joined bool, _ error) {
	p, err := p.locate()
	if err != nil {
		return nil, false, err
	}
	in = &instance{
		place: p, maxConnections: opt.MaxConnections, unsafe: opt.Unsafe,
		timeout: opt.StartTimeout, log: opt.Log,
	}
	joined, err = in.join(ctx)
	if err == nil && !joined {
		err = in.start(ctx, opt)
	}
	if err == nil {
		err = in.prepare(ctx)
	}
	if in.launched != nil {
		if ctx.Err() != nil { // nobody waits for the server any more
			err = errors.Join(err, in.giveUp(ctx))
		}
		in.launched.close()
	}
	return in, joined, err
}

// join waits until a running server answers. It returns false when there is
// none, also when one ended during the wait.
func (in *instance) join(ctx context.Context) (joined bool, _ error) {
	wait, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	var last postmaster
	err := poll(wait, func() (bool, error) {
		pm, running, err := runningPostmaster(in.place.cluster())
		if err != nil || !running {
			return true, err
		}
		last = pm
		joined, err = in.answers(wait, pm)
		return joined, err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, fmt.Errorf("%w: the server of %s (process %d) has been %q for %s; see %s",
			ErrUnavailable, in.place.cluster(), last.pid, last.status, in.timeout, in.place.log())
	}
	return joined, err
}

// answers reports whether the server accepts connections. One that is starting
// or stopping does not yet, or no more, which is no error.
func (in *instance) answers(ctx context.Context, pm postmaster) (bool, error) {
	if pm.socketDir == "" || pm.status == "stopping" {
		return false, nil
	}
	in.socketDir, in.port = pm.socketDir, pm.port
	conn, err := pgx.Connect(ctx, in.url("postgres"))
	if err == nil {
		return true, conn.Close(ctx)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code != cannotConnectNow && refused.Code != tooManyConnections {
		return false, fmt.Errorf("join the running server: %w", err)
	}
	if errors.Is(err, os.ErrPermission) {
		return false, fmt.Errorf("join the running server, which belongs to another user: %w", err)
	}
	return false, nil
}

// Error codes of PostgreSQL, appendix A of its manual.
const (
	cannotConnectNow      = "57P03"
	tooManyConnections    = "53300"
	invalidParameterValue = "22023"
	undefinedObject       = "42704"
)

// prepare makes the database on first use, and learns whether damsync started
// the server.
func (in *instance) prepare(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, in.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var found bool
	err = conn.QueryRow(ctx, `SELECT current_setting('cluster_name') = $1,
		EXISTS (SELECT FROM pg_database WHERE datname = $2)`, clusterName, Database).Scan(&in.ours, &found)
	if err != nil {
		return fmt.Errorf("ask private PostgreSQL for its database: %w", err)
	}
	if !found {
		err = createDatabase(ctx, conn)
	}
	return err
}

func createDatabase(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+Database); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	// lz4 is a choice of whoever built the server, since version 14.
	_, err := conn.Exec(ctx, `ALTER DATABASE `+Database+` SET default_toast_compression = 'lz4'`)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == invalidParameterValue || refused.Code == undefinedObject) {
		return nil
	}
	return err
}

// interrupt asks a server for a fast shutdown: no waiting for clients. One that
// has ended is no error.
func interrupt(pid int) error {
	if err := unix.Kill(pid, unix.SIGINT); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop PostgreSQL (process %d): %w", pid, err)
	}
	return nil
}

// stop shuts the server down and waits for its end.
func (in *instance) stop(ctx context.Context) error {
	pm, running, err := runningPostmaster(in.place.cluster())
	if err != nil || !running {
		return err
	}
	if err := interrupt(pm.pid); err != nil {
		return err
	}
	err = poll(ctx, func() (bool, error) { return !isPostmaster(pm.pid, in.place.cluster()), nil })
	if err != nil {
		return fmt.Errorf("%w: process %d is still shutting down: %w", ErrUnavailable, pm.pid, err)
	}
	in.log.Info().Msg("Private PostgreSQL stopped")
	return nil
}
