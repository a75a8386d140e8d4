package main

import (
	"testing"
)

func TestServeFillsTheTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{})
	p := s.serve()
	s.equal()
	if len(s.sim.wanted()) == 0 {
		t.Fatal("the library has nothing for the target: the test shows nothing")
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM: %s", code, p.stderr)
	}
}

func TestWebhookReachesTheFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{schedule: `{incremental: "", sweep: ""}`})
	s.serve()
	s.equal()
	s.registerWebhook()
	id := s.sim.add("Fresh one", "/Brand")
	s.equal()
	s.sim.edit("edit_title", M{"id": id, "title": "Renamed"})
	s.equal()
	s.sim.edit("new_version", M{"id": id})
	s.equal()
	s.sim.edit("move_asset", M{"id": id, "folder": "/Brand/Logos"})
	s.equal()
	s.sim.edit("set_labels", M{"id": id, "labels": M{"Status": []string{"Draft"}}})
	s.equal()
	s.sim.edit("set_labels", M{"id": id, "labels": approved()})
	s.equal()
	s.sim.edit("delete_asset", M{"id": id})
	s.equal()
}
