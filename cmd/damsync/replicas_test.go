package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beside returns the same installation with the address of a second daemon.
func (s *site) beside() *site {
	s.t.Helper()
	b := *s
	b.dir, b.listen = tempDir(s.t), ownAddress(s.t)
	b.conf.env = append([]string{}, s.conf.env...)
	b.configure(func(c *settings) {})
	return &b
}

// testKey lets daemons with different data directories open the same tokens.
const testKey = "DAMSYNC_KEY=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// Two daemons on one database share the work and do nothing twice. When the leader dies, the other one
// continues alone.
func TestTwoDaemonsShareTheWork(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{env: []string{testKey}})
	other := s.beside()
	a, b := s.start("serve"), other.start("serve")
	s.ready(a)
	other.ready(b)
	s.equal()
	eventually(t, "one of them leads", func() error {
		if !strings.Contains(a.stderr.String()+b.stderr.String(), `"leader":true`) {
			return fmt.Errorf("none leads")
		}
		return nil
	})
	leader, follower, port := a, b, other
	if strings.Contains(b.stderr.String(), `"leader":true`) {
		leader, follower, port = b, a, s
	}
	if strings.Contains(follower.stderr.String(), `"leader":true`) {
		t.Error("both lead")
	}
	leader.kill()
	s.sim.post("/webhooks", M{"url": "http://" + port.listen + "/webhooks/cmp"})
	s.sim.add("After the leader's death", "/Brand")
	s.equal()
	eventually(t, "the other one leads", func() error {
		if !strings.Contains(follower.stderr.String(), `"leader":true`) {
			return fmt.Errorf("it does not:\n%s", follower.stderr)
		}
		return nil
	})
}

// After repeated kill -9 at random moments, while an editor works, the files equal the library, each once.
func TestKilledDaemonContinues(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{schedule: `{incremental: "@every 1s", sweep: "@every 1h"}`})
	s.churn(8)
	s.serve()
	s.equal()
}

// churn lets an editor work while daemons are killed at random moments.
func (s *site) churn(rounds int) {
	s.t.Helper()
	s.registerWebhook()
	s.sim.post("/webhooks/faults", M{"lose": 0.1, "double": 0.2, "reorder": 0.2, "reorder_ms": 100})
	for range rounds {
		p := s.start("serve")
		quit := time.After(time.Duration(200+rand.N(1500)) * time.Millisecond)
		for alive := true; alive; {
			s.sim.post("/editor", M{"folder": "/Brand", "steps": 1, "seed": rand.N(1 << 30)})
			select {
			case <-quit:
				alive = false
			case <-p.done:
				s.t.Fatalf("serve ended by itself: %s", p.stderr)
			case <-time.After(50 * time.Millisecond):
			}
		}
		p.kill()
	}
}

// On SIGTERM, a daemon releases its work and its lead at once.
func TestSIGTERMReleasesLeases(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{env: []string{testKey}})
	s.sim.fault(M{"kind": "slow", "host": "files", "delay_ms": 60000})
	s.sim.fault(M{"kind": "slow", "host": "api", "path": "/v3/images/*", "delay_ms": 60000, "skip": 3})
	first := s.serve()
	eventually(t, "some work has started", func() error {
		if s.sim.requests("/v3/images/") < 4 {
			return fmt.Errorf("no detail is being read")
		}
		return nil
	})
	began := time.Now()
	if code := first.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, first.stderr)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	s.sim.noFaults()
	s.serve()
	began = time.Now()
	s.equal()
	// A lease that was not released would expire after a minute or more.
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("the next daemon needed %s", took)
	}
}

func TestInterruptEndsResyncAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, settings{})
	s.sim.fault(M{"kind": "slow", "host": "api", "delay_ms": 60000})
	p := s.start("resync")
	eventually(t, "resync reads the library", func() error {
		if s.sim.requests("/v3/") == 0 {
			return fmt.Errorf("no request yet")
		}
		return nil
	})
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	r := finish(p)
	if r.code != 1 || strings.Contains(r.stderr, "context canceled") {
		t.Errorf("want exit code 1 and plain words, got %s", r)
	}
}

func TestHealthEndpoints(t *testing.T) {
	t.Parallel()
	s := newSite(t, 10, settings{})
	s.serve()
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": `"token":"ok"`, "/metrics": "damsync_quota_used_requests"} {
		code, body, err := s.get(path)
		if err != nil || code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %v, want %q in %.300s", path, code, err, want, body)
		}
	}
	// The port is in use by the daemon.
	s.run("serve").wantCode(t, 1).wantText(t, "http.listen", "address already in use")
}
