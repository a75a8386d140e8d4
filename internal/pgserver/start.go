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

// start starts a server on the cluster, which it first creates if there is none.
func (s *instance) start(ctx context.Context, opt Options) (err error) {
	major, err := clusterMajor(s.layout.cluster())
	if err != nil {
		return err
	}
	if s.account, err = serverAccount(s.layout.cluster()); err != nil {
		return err
	}
	if err := s.account.checkAccess(ctx, s.layout.dir); err != nil {
		return err
	}
	if s.bin, err = s.chooseBinaries(ctx, opt, major); err != nil {
		return err
	}
	if err := s.account.tryRun(ctx, s.bin); err != nil {
		return err
	}
	if major == 0 {
		if err := s.initialize(ctx); err != nil {
			return fmt.Errorf("initialize PostgreSQL cluster: %w", err)
		}
	}
	if s.socketDir, err = s.layout.socketDir(ctx, s.account); err != nil {
		return err
	}
	s.port = port
	if err := s.configure(s.socketDir); err != nil {
		return err
	}
	return s.launch(ctx)
}

// launch starts the server with pg_ctl, which detaches it from this process and
// its terminal, and waits until it accepts connections.
func (s *instance) launch(ctx context.Context) error {
	log, err := openLog(s.layout.serverLog())
	if err != nil {
		return err
	}
	defer func() { _ = log.f.Close() }()
	if s.started, err = newLivenessPipe(); err != nil {
		return err
	}
	deadline := time.Now().Add(s.timeout)
	err = poll(ctx, func() (bool, error) {
		if err := s.removeStaleLocks(); err != nil {
			return false, err
		}
		err := s.pgCtl(ctx, log, time.Until(deadline))
		if err != nil && orphansRemain(log.tail()) && time.Now().Before(deadline) {
			return false, nil
		}
		return err == nil, err
	})
	if ctx.Err() != nil {
		return fmt.Errorf("start PostgreSQL: %w", ctx.Err())
	}
	if err == nil {
		s.log.Info().Str("version", s.bin.Version).Str("cluster", s.layout.cluster()).Msg("private PostgreSQL started")
		return nil
	}
	if _, running, _ := runningPostmaster(s.layout.cluster()); running {
		return fmt.Errorf("%w: not ready after %s, probably because it recovers from a crash; try again, or see %s",
			ErrUnavailable, s.timeout, s.layout.serverLog())
	}
	return fmt.Errorf("start PostgreSQL %s: %w\n%s", s.bin, err, log.tail())
}

// pgCtl runs pg_ctl start. It passes paths in the environment and in
// damsync.conf, because pg_ctl inserts its arguments into a shell command.
func (s *instance) pgCtl(ctx context.Context, log *serverLog, timeout time.Duration) error {
	c := s.account.command(ctx, s.bin.path("pg_ctl"), "start", "--silent", "--wait",
		"--timeout", strconv.Itoa(max(1, int(timeout.Seconds()))),
		"-o", "-c cluster_name="+clusterName)
	c.Env = append(c.Env, "PGDATA="+s.layout.cluster())
	c.Stdout, c.Stderr = log.f, log.f
	c.ExtraFiles = []*os.File{s.started.writeEnd}
	// An interrupted pg_ctl interrupts the server it waits for.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = stopTimeout
	return c.Run()
}

// stopTimeout limits the wait for a server whose start was canceled. It is much
// longer than a stop takes, because a slow disk can delay one by many seconds.
const stopTimeout = time.Minute

// clusterName identifies a server that damsync started. It is set on the
// command line only, so a server started on the cluster by other means lacks it.
const clusterName = "damsync"

// orphansRemain reports whether backends of a killed server still run. They
// notice the death of their server and exit by themselves.
func orphansRemain(log string) bool {
	return strings.Contains(log, "pre-existing shared memory block")
}

// stopStarted stops the server that a canceled Open started. An interrupt can
// end pg_ctl after it has forked the server but before it passes interrupts on,
// so the server may write its pid file only later.
func (s *instance) stopStarted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		if ended, err := s.started.ended(); ended || err != nil {
			return true, err
		}
		pm, running, err := runningPostmaster(s.layout.cluster())
		if err == nil && running {
			err = interrupt(pm.pid)
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("stop the server of a canceled start: %w", err)
	}
	return nil
}

// removeStaleLocks removes the lock files of a server that has died if their pid
// still exists: as another process, or as the zombie of that server, which can
// remain in a container. PostgreSQL would mistake either for a running server.
// Without the pid file, PostgreSQL still detects remaining backends by the shared
// memory of the cluster.
func (s *instance) removeStaleLocks() error {
	pm, running, err := runningPostmaster(s.layout.cluster())
	if err != nil || running || pm.pid == 0 || errors.Is(unix.Kill(pm.pid, 0), unix.ESRCH) {
		return err
	}
	socketLock := filepath.Join(s.socketDir, ".s.PGSQL."+s.port+".lock")
	if err := os.Remove(socketLock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	if err := os.Remove(filepath.Join(s.layout.cluster(), pidFile)); err != nil {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	return nil
}
