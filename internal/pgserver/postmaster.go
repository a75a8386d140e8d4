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

// postmaster is the content of postmaster.pid, a file that PostgreSQL keeps in
// PGDATA while it runs.
type postmaster struct {
	pid       int
	port      string
	socketDir string // first of unix_socket_directories; empty early in the start
	status    string // starting, stopping, ready or standby; empty early in the start
}

// runningPostmaster returns the content of postmaster.pid and reports whether
// that server runs. A killed server leaves the file behind.
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

// parsePostmaster parses the file, which the server writes line by line: pid,
// PGDATA, start time, port, socket directory, listen address, shared memory key,
// status (LOCK_FILE_LINE_* in PostgreSQL's miscadmin.h). The pid is 0 if the
// file contains none. A stand-alone backend writes its pid negated.
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

// isPostmaster reports whether a process exists and is the server of the
// cluster. The pid alone proves nothing: after a kill or a reboot another process
// can have it.
func isPostmaster(pid int, cluster string) bool {
	reap(pid)
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return false
	}
	if !exists("/proc/self/cwd") { // not Linux: accept any living process, as PostgreSQL does
		return true
	}
	pgdata, err := os.Stat(cluster)
	if err != nil {
		return false
	}
	// The working directory of a server is its PGDATA. A zombie has none.
	dir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, os.ErrPermission) { // root in a container may lack the right to read it
		return looksLikePostgres(pid, pgdata)
	}
	return err == nil && os.SameFile(dir, pgdata)
}

// looksLikePostgres compares the name and the user of a process, which every
// user may read.
func looksLikePostgres(pid int, pgdata os.FileInfo) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "postgres" {
		return false
	}
	proc, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	owner, ok := pgdata.Sys().(*syscall.Stat_t)
	return ok && ownedBy(proc, int(owner.Uid))
}

// reap collects the exit status of the server if this process is the first in a
// container, which adopts orphans.
func reap(pid int) {
	if os.Getpid() == 1 {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}
