package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOtherMethodsAndPages(t *testing.T) {
	r := start(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/webhooks/cmp", 405, "POST"},
		{"PUT", "/webhooks/cmp", 405, "POST"},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"HEAD", "/healthz", 200, ""},
		{"POST", "/webhooks/cmp/", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/", 404, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, r.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := do(t, req)
		if resp.StatusCode != tt.status || resp.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
}

func TestReadiness(t *testing.T) {
	for name, tt := range map[string]struct {
		checks map[string]error
		status int
		want   string
	}{
		"ready if all checks pass":                    {map[string]error{"database": nil, "schema": nil}, 200, `{"ready":true,"checks":{"database":"ok","schema":"ok"}}`},
		"not ready with the reason of a failed check": {map[string]error{"database": nil, "token": errors.New("login refused: invalid_client")}, 503, `{"ready":false,"checks":{"database":"ok","token":"login refused: invalid_client"}}`},
		"ready without checks":                        {nil, 200, `{"ready":true,"checks":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options) {
				o.Ready = func(ctx context.Context) map[string]error {
					if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 2*time.Second {
						t.Error("checks without a deadline of 2 s")
					}
					return tt.checks
				}
			})
			if status, body := get(t, r.url+"/readyz"); status != tt.status || strings.TrimSpace(body) != tt.want {
				t.Errorf("%d %s", status, body)
			}
			if status, body := get(t, r.url+"/healthz"); status != 200 || body != "ok\n" {
				t.Errorf("healthz: %d %s", status, body)
			}
		})
	}
}

func TestMetricsPage(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1") })
	})
	if status, body := get(t, r.url+"/metrics"); status != 200 || body != "up 1" {
		t.Errorf("%d %s", status, body)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Inbox = inbox(func(context.Context, InboxEvent) error { panic("broken") })
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("up 1\n", 10_000))
			panic("too late for a status")
		})
	})
	if resp := r.post(t, strings.NewReader(library), "Callback-Secret", callbackSecret); resp.StatusCode != 500 {
		t.Errorf("status %d", resp.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("a truncated page looks complete")
		}
	}
	if status, _ := get(t, r.url+"/healthz"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if strings.Count(r.log.String(), "request handler panicked") != 2 {
		t.Errorf("log: %s", r.log.String())
	}
}

func TestShutdownWaitsForRequestsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := start(t, func(o *Options) {
		o.Inbox = inbox(func(ctx context.Context, _ InboxEvent) error {
			close(entered)
			<-release
			return ctx.Err()
		})
	})
	status, stopped := make(chan int, 1), make(chan error, 1)
	go func() { status <- r.post(t, strings.NewReader(library), "Callback-Secret", callbackSecret).StatusCode }()
	<-entered
	go func() { stopped <- r.stop() }()
	for { // Serve closes the listener first
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-stopped:
		t.Fatalf("Serve did not wait: %v", err)
	default:
	}
	close(release)
	if got := <-status; got != 202 {
		t.Errorf("status %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownAbortsSlowRequests(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, func(o *Options) {
		o.ShutdownTimeout, o.StoreTimeout = 20*time.Millisecond, time.Hour
		o.Inbox = inbox(func(ctx context.Context, _ InboxEvent) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		})
	})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/webhooks/cmp", strings.NewReader(library))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Callback-Secret", callbackSecret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return // aborted; the CMP sends the event again
		}
		defer resp.Body.Close()
		if resp.StatusCode == 202 {
			t.Error("an event was acknowledged but not stored")
		}
	}()
	<-entered
	if err := r.stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-sent
}

func TestServeReportsFailedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = New(Options{WebhookPath: "/w", Inbox: inbox(nil)}).Serve(t.Context(), l)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
