package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nothing is inferred from a bad answer of the library, and in the end the files are right.
func TestBadAnswersAreSurvived(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]M{
		"429":            {{"kind": "rate_limit", "host": "api", "count": 3, "retry_after": "1"}},
		"5xx":            {{"kind": "status", "status": 503, "host": "api", "probability": 0.3, "count": 10}, {"kind": "status", "status": 500, "body": "html", "host": "api", "skip": 2, "count": 2}},
		"drops":          {{"kind": "drop", "host": "api", "probability": 0.3, "count": 10}},
		"cut":            {{"kind": "cut", "host": "api", "count": 2}, {"kind": "cut_chunked", "host": "api", "skip": 3, "count": 2}},
		"html":           {{"kind": "html", "host": "api", "probability": 0.3, "count": 8}},
		"half page":      {{"kind": "half_page", "host": "api", "path": "/v3/assets", "count": 2}},
		"slow":           {{"kind": "slow", "host": "api", "delay_ms": 1000, "count": 5}},
		"401":            {{"kind": "unauthorized", "host": "api", "skip": 3, "count": 1}},
		"files cut":      {{"kind": "cut", "host": "files", "count": 3}},
		"wrong size":     {{"kind": "wrong_size", "host": "api", "count": 8}},
		"wrong type":     {{"kind": "unknown_enums", "host": "api", "count": 6}},
		"files size":     {{"kind": "cut_chunked", "host": "files", "count": 3}, {"kind": "status", "status": 500, "host": "files", "skip": 1, "count": 3}},
		"files expired":  {{"kind": "status", "status": 403, "host": "files", "count": 3}},
		"files html":     {{"kind": "html", "host": "files", "count": 3}},
		"tomorrow's API": {{"kind": "unknown_fields", "host": "api"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 30, settings{})
			for _, f := range faults {
				s.sim.fault(f)
			}
			s.serve()
			s.equal()
			s.registerWebhook()
			s.sim.add("One more", "/Brand")
			s.equal()
			if st := s.status(); st.Mirror.Assets != 31 {
				t.Errorf("mirror %+v", st.Mirror)
			}
		})
	}
}

// A library that lists nothing, or fails every request, causes no removal.
func TestEmptyLibraryRemovesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{schedule: `{incremental: "@every 1s", sweep: "@every 2s"}`})
	p := s.serve()
	s.equal()
	before := snapshot(t, s.root)
	s.sim.fault(M{"kind": "empty_list", "host": "api", "path": "/v3/assets"})
	seen := s.sim.requests("/v3/assets")
	eventually(t, "the empty list is read again and again", func() error {
		if n := s.sim.requests("/v3/assets"); n < seen+6 {
			return fmt.Errorf("%d times", n-seen)
		}
		return nil
	})
	r := s.run("resync")
	if r.code != 1 || !strings.Contains(r.stderr, "listed nothing") {
		t.Errorf("resync of an empty list: want exit code 1 and the reason, got %s", r)
	}
	if after := snapshot(t, s.root); len(after) != len(before) {
		t.Errorf("%d files, had %d", len(after), len(before))
	}
	if st := s.status(); st.Mirror.Assets != 40 || st.Targets[0].InSync != len(s.sim.wanted()) {
		t.Errorf("%+v", st)
	}
	s.sim.noFaults()
	s.sim.add("Back", "/Brand")
	s.equal()
	p.stop()
}

// A spent quota is a state: the exit code is 3, and work continues when there is quota again.
func TestSpentQuotaDefers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{cmp: "requests_per_second: 500\n  requests_per_month: 12"})
	r := s.run("resync").wantCode(t, 3).wantText(t, "deferred until")
	if !strings.Contains(r.stderr, time.Now().UTC().AddDate(0, 1, 0).Format("2006-01")) && !strings.Contains(r.stderr, "-01T00:00:00Z") {
		t.Errorf("it does not say until when: %s", r)
	}
	st := s.status()
	if st.Quota.Used > 12 || st.Quota.Limit != 12 {
		t.Errorf("quota %+v", st.Quota)
	}
	var log []struct{ Host string }
	s.sim.call(http.MethodGet, "/requests", nil, &log)
	sent := 0
	for _, l := range log {
		if l.Host == "api" {
			sent++
		}
	}
	if sent > 12 {
		t.Errorf("%d requests were sent", sent)
	}
	s.run("status").wantText(t, "of 12 requests of the month used", "deferred")
	s.configure(func(c *settings) { c.cmp = "requests_per_second: 500\n  requests_per_month: 2000" })
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
}

// With wrong credentials, check names the login and prints the server's answer. serve keeps running, is not
// ready, and continues by itself once the credentials are accepted.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, settings{})
	s.configure(func(c *settings) { c.clientSecret = "not-the-secret" })
	r := s.run("check").wantCode(t, 1).wantText(t, "FAIL", "login (client_credentials)", "invalid_client")
	if strings.Contains(r.all(), "not-the-secret") {
		t.Errorf("the secret is printed: %s", r)
	}
	s.run("resync").wantCode(t, 1).wantText(t, "invalid_client", "client_credentials")

	s.configure(func(c *settings) { c.clientSecret = "" })
	s.sim.fault(M{"kind": "token_error", "host": "accounts", "status": 401, "body": "invalid_client"})
	p := s.start("serve")
	eventually(t, "serve runs, is not ready, and reports why", func() error {
		code, body, err := s.get("/readyz")
		if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(body, "invalid_client") {
			return fmt.Errorf("%d %s %w", code, body, err)
		}
		return nil
	})
	if code, _, err := s.get("/healthz"); err != nil || code != http.StatusOK {
		t.Errorf("healthz %d %v", code, err)
	}
	if code, err := s.webhook(s.sim.WebhookSecret, `{"event_name":"asset_modified","data":{"asset":{"id":"x"}}}`); err != nil || code != http.StatusAccepted {
		t.Errorf("webhook %d %v", code, err)
	}
	s.sim.noFaults()
	s.ready(p)
	s.equal()
}

// Tokens that are revoked while the daemon runs are replaced.
func TestRevokedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, settings{})
	s.serve()
	s.equal()
	s.registerWebhook()
	s.sim.post("/tokens/revoke", M{})
	s.sim.add("After", "/Brand")
	s.equal()
}

// Moved folders, which change no modified_at, are found, and archived and expired assets are removed.
func TestChangesWithoutWebhooks(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40, settings{})
	s.serve()
	s.equal()
	s.sim.edit("rename_folder", M{"folder": "/Brand/Logos", "name": "Marks"})
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
	s.sim.edit("move_folder", M{"folder": "/Brand/Marks", "parent": "/Brand/Icons"})
	s.run("resync").wantCode(t, 0)
	if err := s.differs(); err != nil {
		t.Error(err)
	}
	id := s.anyWanted()
	s.sim.edit("archive", M{"id": id})
	s.equal()
	s.sim.edit("archive", M{"id": id, "archived": false})
	s.equal()
	at := time.Now().Add(4 * time.Second).Truncate(time.Second)
	s.sim.edit("set_detail", M{"id": id, "detail": M{"expires_at": at.UTC().Format(time.RFC3339)}})
	s.equal()
	eventually(t, "the expired asset is removed", func() error {
		have, err := s.files()
		if err != nil || have[id].path != "" {
			return fmt.Errorf("it is at %s, %w", have[id].path, err)
		}
		return nil
	})
	if late := time.Since(at); late < 0 || late > 20*time.Second {
		t.Errorf("it left %s after its expiry", late)
	}
	if files := snapshot(t, filepath.Join(s.root, ".archive")); len(files) == 0 {
		t.Error("nothing is in the archive")
	}
}

// Articles and structured contents are mirrored but have no file to push, even if a rule selects them.
func TestFilelessAssetsAreMirroredOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{target: "\n    path: '{asset.id}/{asset.file_name}'\n"})
	s.run("resync").wantCode(t, 0)
	have, err := s.files()
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, a := range s.sim.assets() {
		_, there := have[a.ID]
		fileless := a.Type == "article" || a.Type == "structured_content"
		if there && fileless {
			t.Errorf("%s %q has a file", a.Type, a.Title)
		}
		if !fileless && !a.Archived {
			files++
		}
	}
	if st := s.status(); st.Mirror.Assets != 60 || len(have) == 0 || len(have) > files {
		t.Errorf("%d files of %d, mirror %+v", len(have), files, st.Mirror)
	}
}

// A command that waits because the CMP asked for it prints the reason.
func TestLongPauseIsPrinted(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{})
	s.sim.fault(M{"kind": "rate_limit", "host": "api", "count": 1, "retry_after": "600"})
	s.run("resync").wantCode(t, 1)
	p := s.start("resync")
	eventually(t, "resync says why it waits", func() error {
		if text := p.stderr.String(); !strings.Contains(text, "waiting until") || !strings.Contains(text, "429") {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	p.stop()
}

// A malformed DAMSYNC_KEY is a configuration error: nothing is touched.
func TestBadKeyTouchesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{env: []string{"DAMSYNC_KEY=abc"}})
	for _, command := range []string{"serve", "check", "resync", "migrate"} {
		s.run(command).wantCode(t, 2).wantText(t, "DAMSYNC_KEY")
	}
}
