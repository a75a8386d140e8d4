package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// postmaster is the process of the private server, wherever its cluster lies.
func (s *site) postmaster() (int, error) {
	dir := filepath.Join(s.dir, "data", "postgres")
	if place, err := os.ReadFile(filepath.Join(dir, "location")); err == nil {
		dir = strings.TrimSpace(string(place))
	}
	text, err := os.ReadFile(filepath.Join(dir, "cluster", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// kill -9 of a daemon leaves its private PostgreSQL running. The next daemon and commands join it, and the
// last process to end stops it.
func TestPrivatePostgreSQL(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{database: "private"})
	p := s.serve()
	s.registerWebhook()
	first, err := s.postmaster()
	if err != nil {
		t.Fatal(err)
	}
	s.run("status").wantCode(t, 0)
	p.kill()
	p = s.serve()
	if now, err := s.postmaster(); err != nil || now != first {
		t.Errorf("another server %d, was %d: %v", now, first, err)
	}
	s.sim.add("After the kill", "/Brand")
	s.equal()
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
	if pid, err := s.postmaster(); err == nil {
		t.Errorf("the last to leave did not stop the server %d", pid)
	}
	s.sim.add("Without a daemon", "/Brand")
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
	if _, err := s.postmaster(); err == nil {
		t.Error("resync left its server running")
	}
	info, err := os.Stat(filepath.Join(s.dir, "data", "damsync.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info.Mode(), err)
	}
}

// While PostgreSQL is down, webhooks get a 503, so that the CMP sends them again. The daemon continues by
// itself when PostgreSQL is back.
func TestPostgreSQLDies(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{database: "private"})
	p := s.serve()
	s.equal()
	s.registerWebhook()
	pid, err := s.postmaster()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	id := s.anyWanted()
	eventually(t, "a webhook that cannot be stored gets a 503", func() error {
		code, err := s.webhook(s.sim.WebhookSecret, fmt.Sprintf(`{"event_name":"asset_modified","data":{"asset":{"id":%q}}}`, id))
		if err != nil || code != http.StatusServiceUnavailable {
			return fmt.Errorf("%d %w", code, err)
		}
		return nil
	})
	s.sim.edit("edit_title", M{"id": id, "title": "While it was away"})
	s.ready(p)
	s.equal()
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
}

// The daemon survives repeated kill -9 with the private server, too.
func TestKilledDaemonContinuesWithPrivatePostgreSQL(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{database: "private"})
	s.churn(4)
	s.serve()
	s.equal()
}
