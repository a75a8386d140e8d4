package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var loginURL = regexp.MustCompile(`open in a browser: (\S+)`)

// browse opens the printed URL as a browser would.
func (s *site) browse(p *proc) (string, error) {
	s.t.Helper()
	var url string
	eventually(s.t, "login prints a URL", func() error {
		m := loginURL.FindStringSubmatch(p.stdout.String())
		if m == nil {
			return fmt.Errorf("%s %s", p.stdout, p.stderr)
		}
		url = m[1]
		return nil
	})
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	_, body, err := do(req)
	return body, err
}

// One login in the browser lasts through restarts, with refresh tokens that are valid once.
func TestOneLoginLastsThroughRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, settings{grant: "authorization_code"})
	s.run("check").wantCode(t, 1).wantText(t, "FAIL", "login (authorization_code)", "damsync login")
	s.run("resync").wantCode(t, 1).wantText(t, "damsync login")

	p := s.start("login", "--listen", "127.0.0.1:0")
	if body, err := s.browse(p); err != nil || !strings.Contains(body, "close this window") {
		t.Errorf("%q %v", body, err)
	}
	finish(p).wantCode(t, 0).wantText(t, "logged in")
	s.run("check").wantCode(t, 0)
	d := s.serve()
	s.equal()
	for range 3 {
		d.stop()
		s.sim.post("/tokens/revoke", M{}) // the access token, so the next start needs the refresh token
		d = s.serve()
		s.sim.add("After a restart", "/Brand")
		s.equal()
	}
	// When the login ends, the daemon is not ready and says what to do.
	s.sim.post("/tokens/revoke?refresh=true", M{})
	eventually(t, "the daemon is not ready and says what to do", func() error {
		code, body, err := s.get("/readyz")
		if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(body, "damsync login") {
			return fmt.Errorf("%d %s %w", code, body, err)
		}
		return nil
	})
	again := s.start("login", "--listen", "127.0.0.1:0")
	if _, err := s.browse(again); err != nil {
		t.Error(err)
	}
	finish(again).wantCode(t, 0)
	s.ready(d)
	s.sim.add("After the second login", "/Brand")
	s.equal()
}

func TestLoginRejectsClientCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, settings{})
	s.run("login").wantCode(t, 2).wantText(t, "client_credentials", "needs no login")
}

// Another process on this machine cannot give the login an authorization code.
func TestLoginRejectsForeignCallbacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, settings{grant: "authorization_code"})
	p := s.start("login", "--listen", "127.0.0.1:0")
	var callback string
	eventually(t, "login prints the callback URL", func() error {
		m := regexp.MustCompile(`callback URL: (\S+)`).FindStringSubmatch(p.stdout.String())
		if m == nil {
			return fmt.Errorf("%s", p.stderr)
		}
		callback = m[1]
		return nil
	})
	for _, query := range []string{"", "?code=x", "?code=x&state=guess"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, callback+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if code, _, err := do(req); err != nil || code != http.StatusBadRequest {
			t.Errorf("%q: %d %v", query, code, err)
		}
	}
	if !p.running() {
		t.Errorf("login has ended: %s", p.stderr)
	}
	if _, err := s.browse(p); err != nil {
		t.Error(err)
	}
	finish(p).wantCode(t, 0)
}
