package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	user           string
	maxConnections int
	unsafe         bool
	timeout        time.Duration
	log            zerolog.Logger

	socketDir, port string // of the running server
}

func (in *instance) url(database string) string {
	return connectURL(in.socketDir, in.port, in.user, database)
}

// bringUp joins or starts the server and makes sure the database exists.
func (s *Server) bringUp(ctx context.Context, p place, opt Options) error {
	p, err := p.locate()
	if err != nil {
		return err
	}
	s.in = &instance{
		place: p, user: User, maxConnections: opt.MaxConnections, unsafe: opt.Unsafe,
		timeout: opt.StartTimeout, log: opt.Log,
	}
	s.joined, err = s.in.join(ctx)
	if err == nil && !s.joined {
		err = s.in.start(ctx, opt)
	}
	if err != nil {
		return err
	}
	s.ours, err = s.in.prepare(ctx)
	return err
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

// start runs a new server on the cluster, which it makes first if there is none.
func (in *instance) start(ctx context.Context, opt Options) (err error) {
	major, err := clusterMajor(in.place.cluster())
	if err != nil {
		return err
	}
	if err := in.settle(ctx); err != nil {
		return err
	}
	if in.bin, err = in.binaries(ctx, opt, major); err != nil {
		return err
	}
	if err := in.account.runs(ctx, in.bin); err != nil {
		return err
	}
	if major == 0 {
		if err := in.initialize(ctx); err != nil {
			return fmt.Errorf("initialize PostgreSQL cluster: %w", err)
		}
	}
	if in.socketDir, err = in.place.socketDir(ctx, in.account); err != nil {
		return err
	}
	in.port = port
	if err := in.configure(in.socketDir); err != nil {
		return err
	}
	return in.launch(ctx)
}

// settle decides the user the server runs as and a home this user can enter.
func (in *instance) settle(ctx context.Context) (err error) {
	if in.account, err = serverAccount(in.place.cluster()); err != nil {
		return err
	}
	var moved bool
	in.place, moved, err = in.place.settle(ctx, in.account)
	if moved {
		in.log.Warn().Str("cluster", in.place.home).Str("user", in.account.name).
			Msg("The server's user cannot enter the data directory, so the database is kept elsewhere")
	}
	return err
}

// launch starts the server with pg_ctl, which detaches it from this process
// and its terminal, and waits until it accepts connections.
func (in *instance) launch(ctx context.Context) error {
	log, err := openLog(in.place.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.f.Close() }()
	deadline := time.Now().Add(in.timeout)
	err = poll(ctx, func() (bool, error) {
		if err := in.clearStale(); err != nil {
			return false, err
		}
		err := in.pgCtl(ctx, log, time.Until(deadline))
		if err != nil && orphansRemain(log.tail()) && time.Now().Before(deadline) {
			return false, nil
		}
		return err == nil, err
	})
	if err == nil {
		in.log.Info().Str("version", in.bin.Version).Str("cluster", in.place.cluster()).Msg("Private PostgreSQL started")
		return nil
	}
	if _, running, _ := runningPostmaster(in.place.cluster()); running {
		return fmt.Errorf("%w: still starting after %s, as it does after a crash; try again, see %s",
			ErrUnavailable, in.timeout, in.place.log())
	}
	return fmt.Errorf("start PostgreSQL %s: %w\n%s", in.bin, err, log.tail())
}

// pgCtl runs pg_ctl start. Paths go by way of the environment and of
// damsync.conf, because pg_ctl pastes its arguments into a shell command.
func (in *instance) pgCtl(ctx context.Context, log *serverLog, timeout time.Duration) error {
	c := in.account.command(ctx, in.bin.path("pg_ctl"), "start", "--silent", "--wait",
		"--timeout", fmt.Sprint(max(1, int(timeout.Seconds()))),
		"-o", "-c cluster_name="+clusterName)
	c.Env = append(c.Env, "PGDATA="+in.place.cluster())
	c.Stdout, c.Stderr = log.f, log.f
	return c.Run()
}

// clusterName marks a server that damsync started: it is set on the command
// line only, so one that somebody else starts on the cluster lacks it.
const clusterName = "damsync"

// orphansRemain reports that backends of a killed server still run. They
// notice that it is gone and end by themselves.
func orphansRemain(log string) bool {
	return strings.Contains(log, "pre-existing shared memory block")
}

// clearStale removes the lock files of a server that is no more when their pid
// is taken: by another process, or by the dead server itself while its parent
// does not reap it, as happens in containers. PostgreSQL would take either for
// a running server. That pid file gone, PostgreSQL still notices backends left
// over, by the shared memory it finds under the cluster's key.
func (in *instance) clearStale() error {
	pm, running, err := runningPostmaster(in.place.cluster())
	if err != nil || running || pm.pid == 0 || errors.Is(unix.Kill(pm.pid, 0), unix.ESRCH) {
		return err
	}
	socketLock := filepath.Join(in.socketDir, ".s.PGSQL."+in.port+".lock")
	if err := os.Remove(socketLock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	if err := os.Remove(filepath.Join(in.place.cluster(), pidFile)); err != nil {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	return nil
}

// prepare makes the database on first use. It reports whether damsync started
// the server.
func (in *instance) prepare(ctx context.Context) (ours bool, err error) {
	conn, err := pgx.Connect(ctx, in.url("postgres"))
	if err != nil {
		return false, fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var found bool
	err = conn.QueryRow(ctx, `SELECT current_setting('cluster_name') = $1,
		EXISTS (SELECT FROM pg_database WHERE datname = $2)`, clusterName, Database).Scan(&ours, &found)
	if err != nil {
		return ours, fmt.Errorf("ask private PostgreSQL for its database: %w", err)
	}
	if !found {
		err = createDatabase(ctx, conn)
	}
	return ours, err
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

// stop shuts the server down and waits for its end. SIGINT means fast: no
// waiting for clients.
func (in *instance) stop(ctx context.Context) error {
	pm, running, err := runningPostmaster(in.place.cluster())
	if err != nil || !running {
		return err
	}
	if err := unix.Kill(pm.pid, unix.SIGINT); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop PostgreSQL (process %d): %w", pm.pid, err)
	}
	err = poll(ctx, func() (bool, error) { return !isPostmaster(pm.pid, in.place.cluster()), nil })
	if err != nil {
		return fmt.Errorf("%w: process %d is still shutting down: %w", ErrUnavailable, pm.pid, err)
	}
	in.log.Info().Msg("Private PostgreSQL stopped")
	return nil
}
