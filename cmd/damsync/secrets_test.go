package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secrets never appear in logs of any level, in errors, in the process list or in files.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, settings{log: "{level: trace, format: json}"})
	p := s.serve()
	s.equal()
	s.registerWebhook()
	for _, f := range []M{
		{"kind": "html", "host": "api", "count": 3},
		{"kind": "drop", "host": "api", "skip": 1, "count": 3},
		{"kind": "drop", "host": "files", "count": 2},
		{"kind": "status", "status": 403, "host": "files", "skip": 2, "count": 2},
		{"kind": "drop", "host": "accounts", "count": 1},
	} {
		s.sim.fault(f)
	}
	s.sim.post("/tokens/revoke", M{})
	for i := range 4 {
		s.sim.add(fmt.Sprint("Trouble ", i), "/Brand")
	}
	if _, err := s.webhook("guess-of-a-secret", "{}"); err != nil {
		t.Error(err)
	}
	s.equal()
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
	if err != nil {
		t.Log(err) // no such file on other systems
	}
	printed := string(cmdline)
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"check"}, {"plan"}, {"resync"}, {"resync", "--dry-run"}} {
		printed += s.run(args...).all()
	}
	_, metrics, err := s.get("/metrics")
	if err != nil {
		t.Error(err)
	}
	_, ready, err := s.get("/readyz")
	if err != nil {
		t.Error(err)
	}
	p.stop()
	printed += metrics + ready + p.stdout.String() + p.stderr.String()
	if !strings.Contains(printed, `"level":"debug"`) {
		t.Error("the log has no debug messages; the test would prove nothing")
	}
	for what, text := range map[string]string{
		"the client secret": s.sim.ClientSecret, "the webhook secret": s.sim.WebhookSecret, "a guess": "guess-of-a-secret",
		"a bearer": "Bearer ", "a download token": "?token=", "a JWT": "eyJ", "the database's password": "password=",
	} {
		for line := range strings.Lines(printed) {
			if strings.Contains(line, text) {
				t.Errorf("%s is printed: %s", what, line)
				break
			}
		}
	}
	for path := range snapshot(t, s.root) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) == ".json" && (strings.Contains(string(text), "token=") || strings.Contains(string(text), s.sim.ClientSecret)) {
			t.Errorf("%s holds a secret: %s", path, text)
		}
	}
}
