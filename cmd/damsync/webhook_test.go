package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestBadWebhooksAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t, 10, settings{})
	s.serve()
	good := s.sim.WebhookSecret
	event := `{"event_name":"asset_modified","data":{"asset":{"id":"%s"}}}`
	for _, c := range []struct {
		what, secret, body string
		want               int
	}{
		{"no secret", "", fmt.Sprintf(event, "a"), http.StatusUnauthorized},
		{"a wrong secret", "x" + good, fmt.Sprintf(event, "a"), http.StatusUnauthorized},
		{"not JSON", good, "asset_modified", http.StatusBadRequest},
		{"half of a JSON", good, `{"event_name":`, http.StatusBadRequest},
		{"nothing", good, "", http.StatusBadRequest},
		{"a huge body", good, `{"event_name":"` + strings.Repeat("x", 257<<10) + `"}`, http.StatusRequestEntityTooLarge},
		{"a huge body of a stranger", "", strings.Repeat("x", 300<<10), http.StatusUnauthorized},
		{"an event of tomorrow", good, `{"event_name":"asset_beamed","data":{"asset":{"id":"a"}}}`, http.StatusAccepted},
		{"another thing's event", good, `{"event_name":"task_added","data":{"task":{"id":"a"}}}`, http.StatusAccepted},
		{"an asset that is none", good, fmt.Sprintf(event, "../../etc/passwd"), http.StatusAccepted},
		{"a NUL", good, fmt.Sprintf(event, `a\u0000b`), http.StatusAccepted},
		{"an asset", good, fmt.Sprintf(event, s.anyWanted()), http.StatusAccepted},
	} {
		if code, err := s.webhook(c.secret, c.body); err != nil || code != c.want {
			t.Errorf("%s: %d %v, want %d", c.what, code, err, c.want)
		}
	}
	code, _, err := s.get("/webhooks/cmp")
	if err != nil || code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %v", code, err)
	}
	eventually(t, "the inbox is empty", func() error {
		if st := s.status(); st.Inbox.Pending != 0 {
			return fmt.Errorf("%+v", st.Inbox)
		}
		return nil
	})
	s.equal()
}

// Events that are doubled, late, in the wrong order or wrong are harmless, because the asset is read from the
// library.
func TestWebhooksOnlySayWhereToLook(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{schedule: `{incremental: "", sweep: ""}`})
	s.serve()
	s.equal()
	before := snapshot(t, s.root)
	id := s.anyWanted()
	for _, name := range []string{"asset_removed", "asset_added", "asset_removed", "asset_modified", "asset_removed"} {
		if code, err := s.webhook(s.sim.WebhookSecret, fmt.Sprintf(`{"event_name":%q,"data":{"asset":{"id":%q,"title":"lies"}}}`, name, id)); err != nil || code != http.StatusAccepted {
			t.Fatalf("%d %v", code, err)
		}
	}
	eventually(t, "the inbox is empty", func() error {
		if st := s.status(); st.Inbox.Pending != 0 {
			return fmt.Errorf("%+v", st.Inbox)
		}
		return nil
	})
	if after := snapshot(t, s.root); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("files changed: %v, were %v", after, before)
	}
	s.registerWebhook()
	s.sim.post("/webhooks/faults", M{"double": 0.5, "reorder": 0.5, "reorder_ms": 300})
	for i := range 15 {
		s.sim.edit("edit_title", M{"id": id, "title": fmt.Sprintf("Edit %d", i)})
	}
	s.equal()
}

// Without a secret, or with a wrong one, every event is rejected, and changes are found on schedule.
func TestWrongWebhookSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, settings{})
	p := s.serve()
	s.sim.post("/webhooks", M{"url": "http://" + s.listen + "/webhooks/cmp", "secret": "another secret"})
	s.sim.add("Unannounced", "/Brand")
	s.equal()
	eventually(t, "the rejection is logged", func() error {
		if !strings.Contains(p.stderr.String(), "webhook refused: wrong or missing secret") {
			return fmt.Errorf("%s", p.stderr)
		}
		return nil
	})
}
