package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const pidFile = "postmaster.pid"

// postmaster is what postmaster.pid, a file that PostgreSQL keeps in PGDATA
// while it runs, tells of a running server.
type postmaster struct {
	pid       int
	port      string
	socketDir string // the first of unix_socket_directories; empty early in the start
	status    string // starting, stopping, ready or standby; empty early in the start
}

// runningPostmaster returns the server running on a cluster, or false when
// there is none, whatever file a killed one left.
func runningPostmaster(cluster string) (postmaster, bool, error) {
	text, err := os.ReadFile(filepath.Join(cluster, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return postmaster{}, false, nil
	}
	if err != nil {
		return postmaster{}, false, fmt.Errorf("read postmaster.pid: %w", err)
	}
	pm := parsePostmaster(string(text))
	return pm, pm.pid > 0 && isPostmaster(pm.pid, cluster), nil
}

// parsePostmaster reads the file, of which the server writes line after line:
// pid, PGDATA, start time, port, socket directory, listen address, shared
// memory key, status (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*). A pid of 0
// means that it does not hold one. A stand-alone backend writes its pid negated.
func parsePostmaster(text string) postmaster {
	lines := strings.Split(text, "\n")
	line := func(n int) string {
		if n > len(lines) {
			return ""
		}
		return strings.TrimSpace(lines[n-1])
	}
	pid, err := strconv.ParseInt(line(1), 10, 32)
	if err != nil {
		pid = 0
	}
	return postmaster{pid: int(max(pid, -pid)), port: line(4), socketDir: line(5), status: line(8)}
}

// isPostmaster reports whether the process exists and is the server of the
// cluster. The number alone proves nothing after a kill or a reboot: another
// process may have it by then.
func isPostmaster(pid int, cluster string) bool {
	reap(pid)
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return false
	}
	if !exists("/proc/self/cwd") { // no Linux: a living process is taken for it, as PostgreSQL does
		return true
	}
	want, err := os.Stat(cluster)
	if err != nil {
		return false
	}
	// A server works in its PGDATA. A dead process that nobody reaped has no
	// working directory.
	dir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, os.ErrPermission) { // root in a container may not look
		return looksLikePostgres(pid, want)
	}
	return err == nil && os.SameFile(dir, want)
}

// looksLikePostgres compares what every user may see of a process: its name
// and its user.
func looksLikePostgres(pid int, cluster os.FileInfo) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "postgres" {
		return false
	}
	proc, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	owner, ok := cluster.Sys().(*syscall.Stat_t)
	return ok && ownedBy(proc, int(owner.Uid))
}

// reap collects the server's exit when it has become a child of this process,
// as orphans do of the first process in a container.
func reap(pid int) {
	if os.Getpid() == 1 {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}
