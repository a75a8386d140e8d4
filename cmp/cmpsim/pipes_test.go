package cmpsim_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp/cmpsim"
)

// In a synctest bubble the simulator, its limits and its delays run on the fake clock.
func TestPipesRunOnFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: 30, RequestsPerSecond: 10})
		at, dial := sim.StartPipes()
		tr := &http.Transport{DialContext: dial}
		b := &bench{t: t, sim: sim, at: at, http: &http.Client{Transport: tr}}
		defer func() {
			tr.CloseIdleConnections()
			must(t, sim.Close())
		}()
		b.login()
		began := time.Now()
		for range 100 {
			b.get("/assets")
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took != 10*time.Second || sim.PaceCounters().Refused != 0 {
			t.Errorf("took %v, %d refused", took, sim.PaceCounters().Refused)
		}
		b.fault(cmpsim.Fault{Kind: cmpsim.FaultSlow, DelayMillis: 60_000, Count: 1})
		began = time.Now()
		b.get("/assets")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("a slow answer took %v", took)
		}
		time.Sleep(time.Hour)
		if got, _ := b.status("GET", "/assets", nil); got != 401 {
			t.Errorf("after an hour: %d", got)
		}
	})
}

// The gaps between webhook retries double, and the retries end after three days.
func TestWebhookBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		refuse := func(*http.Request) (*http.Response, error) {
			sent = append(sent, time.Now())
			w := httptest.NewRecorder()
			w.WriteHeader(http.StatusInternalServerError)
			return w.Result(), nil
		}
		sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: 3, Webhooks: cmpsim.WebhookOptions{Transport: transport(refuse)}})
		defer func() { must(t, sim.Close()) }()
		must(t, sim.RegisterWebhook(cmpsim.Webhook{URL: "http://receiver.test/"}))
		must(t, sim.EditTitle(sim.AssetIDs()[0], "x"))
		must(t, sim.WaitDelivered(t.Context()))
		if len(sent) < 60 || sent[len(sent)-1].Sub(sent[0]) > 72*time.Hour {
			t.Fatalf("%d attempts in %v", len(sent), sent[len(sent)-1].Sub(sent[0]))
		}
		if d := sim.Deliveries(); len(d) != 1 || d[0].State != cmpsim.DeliveryGivenUp || d[0].Status != http.StatusInternalServerError {
			t.Errorf("deliveries %+v", d)
		}
		for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second} {
			if gap := sent[i+1].Sub(sent[i]); gap != want {
				t.Errorf("gap %d is %v, want %v", i, gap, want)
			}
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip is for http.RoundTripper.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Close waits for what the simulator started and ends pending waits. The end of Start's context does
// the same.
func TestStartAndClose(t *testing.T) {
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: 3})
		at, err := sim.Start(ctx, "127.0.0.1:0")
		must(t, err)
		must(t, sim.RegisterWebhook(cmpsim.Webhook{URL: "http://127.0.0.1:1/"}))
		must(t, sim.EditTitle(sim.AssetIDs()[0], "x"))
		cancel()
		if err := sim.WaitDelivered(t.Context()); !errors.Is(err, cmpsim.ErrClosed) {
			t.Errorf("wait after the end: %v", err)
		}
		must(t, sim.Close())
		u, err := url.Parse(at.APIURL)
		must(t, err)
		if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host); err == nil {
			t.Error("still listening")
		}
	}
}

func TestFixedPort(t *testing.T) {
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	addr := free.Addr().String()
	must(t, free.Close())
	sim := cmpsim.New(cmpsim.Options{Assets: 1})
	at, err := sim.Start(t.Context(), addr)
	must(t, err)
	defer func() { must(t, sim.Close()) }()
	if at.APIURL != "http://"+addr+"/v3" {
		t.Errorf("API at %s, want %s", at.APIURL, addr)
	}
	hosts := map[string]bool{}
	for _, raw := range []string{at.APIURL, at.TokenURL, at.FilesURL, at.ControlURL} {
		u, err := url.Parse(raw)
		must(t, err)
		hosts[u.Host] = true
	}
	if len(hosts) != 4 {
		t.Errorf("hosts %v", hosts)
	}
	second := cmpsim.New(cmpsim.Options{Assets: 1})
	if _, err := second.Start(t.Context(), addr); err == nil {
		t.Error("two simulators on one port")
	}
	must(t, second.Close())
}
