package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	if in.launched, err = newLifeline(); err != nil {
		return err
	}
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
	if ctx.Err() != nil {
		return fmt.Errorf("start PostgreSQL: %w", ctx.Err())
	}
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
		"--timeout", strconv.Itoa(max(1, int(timeout.Seconds()))),
		"-o", "-c cluster_name="+clusterName)
	c.Env = append(c.Env, "PGDATA="+in.place.cluster())
	c.Stdout, c.Stderr = log.f, log.f
	c.ExtraFiles = []*os.File{in.launched.theirs}
	// An interrupted pg_ctl interrupts the server it waits for.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = stopTimeout
	return c.Run()
}

// stopTimeout bounds the end of a server whose start was given up.
const stopTimeout = 10 * time.Second

// clusterName marks a server that damsync started: it is set on the command
// line only, so one that somebody else starts on the cluster lacks it.
const clusterName = "damsync"

// orphansRemain reports that backends of a killed server still run. They
// notice that it is gone and end by themselves.
func orphansRemain(log string) bool {
	return strings.Contains(log, "pre-existing shared memory block")
}

// giveUp stops the server that a canceled Open started. An interrupt can end
// pg_ctl after it has forked the server and before it passes interrupts on, so
// the server may be one that writes its pid file only later.
func (in *instance) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		if ended, err := in.launched.ended(); ended || err != nil {
			return true, err
		}
		pm, running, err := runningPostmaster(in.place.cluster())
		if err == nil && running {
			err = interrupt(pm.pid)
		}
		return false, err
	})
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
