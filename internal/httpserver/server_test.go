package httpserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"damsync/cmp"
	"damsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hunter  = "hunter2-callback"
	library = `{"event_name":"asset_added","data":{"asset":{"id":"a1","type":"image","source":{"id":"t1","type":"task"},"links":{"self":"https://api.example/images/a1"}}}}`
	task    = `{"event_name":"task_removed","data":{"task":{"id":"t1"}}}`
)

type inbox func(context.Context, InboxEvent) error

func (i inbox) Store(ctx context.Context, e InboxEvent) error { return i(ctx, e) }

// running is a server on a real port, with all it did.
type running struct {
	url    string
	addr   string
	stop   func() error // ends the server and returns what Serve returned
	mu     sync.Mutex
	events []InboxEvent
	counts map[Outcome]int
	log    bytes.Buffer
}

func (r *running) Store(_ context.Context, e InboxEvent) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

func (r *running) count(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[o]++
}

// Write collects the log.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func start(t *testing.T, change func(*Options)) *running {
	t.Helper()
	r := &running{counts: map[Outcome]int{}}
	o := Options{
		WebhookPath: "/webhooks/cmp", WebhookSecret: secret.New(hunter),
		Inbox: r, Count: r.count, Log: zerolog.New(r),
		Ready: func(context.Context) map[string]error { return nil },
	}
	if change != nil {
		change(&o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.url = "http://" + r.addr
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, l) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		_ = r.stop() // a test that cares asks first
	})
	return r
}

func (r *running) post(t *testing.T, body io.Reader, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/webhooks/cmp", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1]) // spelled as given
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp := do(t, req)
	text, _ := io.ReadAll(resp.Body) // of memory
	return resp.StatusCode, string(text)
}

// chunked hides the length of a body.
type chunked struct{ io.Reader }

// sized returns an event of exactly n bytes.
func sized(n int) string {
	return library[:len(library)-1] + strings.Repeat(" ", n-len(library)) + "}"
}

func TestWebhookAnswers(t *testing.T) {
	right := []string{"Callback-Secret", hunter}
	tests := map[string]struct {
		body    io.Reader
		header  []string
		status  int
		outcome Outcome
		stored  int
	}{
		"library event":        {strings.NewReader(library), right, 202, Stored, 1},
		"task event":           {strings.NewReader(task), right, 202, Ignored, 1},
		"unknown event":        {strings.NewReader(`{"event_name":"x","data":{"new":1},"more":[]}`), right, 202, Ignored, 1},
		"chunked":              {chunked{strings.NewReader(library)}, right, 202, Stored, 1},
		"header case":          {strings.NewReader(library), []string{"cALLBACK-sECRET", hunter}, 202, Stored, 1},
		"exactly 256 KiB":      {strings.NewReader(sized(256 << 10)), right, 202, Stored, 1},
		"one byte over":        {strings.NewReader(sized(256<<10 + 1)), right, 413, TooLarge, 0},
		"chunked 256 KiB":      {chunked{strings.NewReader(sized(256 << 10))}, right, 202, Stored, 1},
		"chunked one over":     {chunked{strings.NewReader(sized(256<<10 + 1))}, right, 413, TooLarge, 0},
		"no secret":            {strings.NewReader(library), nil, 401, Unauthorized, 0},
		"wrong secret":         {strings.NewReader(library), []string{"Callback-Secret", hunter + "x"}, 401, Unauthorized, 0},
		"start of the secret":  {strings.NewReader(library), []string{"Callback-Secret", hunter[:5]}, 401, Unauthorized, 0},
		"empty secret":         {strings.NewReader(library), []string{"Callback-Secret", ""}, 401, Unauthorized, 0},
		"secret twice":         {strings.NewReader(library), []string{"Callback-Secret", hunter, "Callback-Secret", hunter}, 401, Unauthorized, 0},
		"right and wrong":      {strings.NewReader(library), []string{"Callback-Secret", hunter, "Callback-Secret", "x"}, 401, Unauthorized, 0},
		"two spellings":        {strings.NewReader(library), []string{"Callback-Secret", hunter, "callback-secret", "x"}, 401, Unauthorized, 0},
		"wrong and huge":       {strings.NewReader(sized(1 << 20)), nil, 401, Unauthorized, 0},
		"wrong and not JSON":   {strings.NewReader("x"), nil, 401, Unauthorized, 0},
		"not JSON":             {strings.NewReader("event=asset_added"), right, 400, Malformed, 0},
		"JSON but no object":   {strings.NewReader("[1]"), right, 202, Ignored, 1},
		"null":                 {strings.NewReader("null"), right, 202, Ignored, 1},
		"empty":                {strings.NewReader(""), right, 400, Malformed, 0},
		"trailing comma":       {strings.NewReader(`{"event_name":"asset_added",}`), right, 400, Malformed, 0},
		"something after JSON": {strings.NewReader(library + "x"), right, 400, Malformed, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			resp := r.post(t, tt.body, tt.header...)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if diff := gocmp.Diff(map[Outcome]int{tt.outcome: 1}, r.counts); diff != "" {
				t.Error(diff)
			}
			if len(r.events) != tt.stored {
				t.Errorf("stored %d events", len(r.events))
			}
			if log := r.log.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "asset_added") || !strings.Contains(log, `"path":"/webhooks/cmp"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// What concerns no library asset is stored without one, so that nobody acts on it.
func TestEventIsStoredWhole(t *testing.T) {
	r := start(t, nil)
	const taskAsset = `{"event_name":"task_asset_modified","data":{"task":{"id":"t1"},"asset":{"id":"ta"}}}`
	for _, body := range []string{library, taskAsset, "[1]"} {
		r.post(t, strings.NewReader(body), "Callback-Secret", hunter)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	want := []InboxEvent{{
		Name: "asset_added", AssetID: "a1", AssetType: "image", Self: "https://api.example/images/a1",
		SourceTask: "t1", Body: []byte(library),
	}, {Name: "task_asset_modified", Body: []byte(taskAsset)}, {Body: []byte("[1]")}}
	if diff := gocmp.Diff(want, r.events); diff != "" {
		t.Error(diff)
	}
}

func TestNoConfiguredSecretRefusesAll(t *testing.T) {
	r := start(t, func(o *Options) { o.WebhookSecret = secret.New("") })
	for _, header := range [][]string{nil, {"Callback-Secret", ""}, {"Callback-Secret", "x"}} {
		if resp := r.post(t, strings.NewReader(library), header...); resp.StatusCode != 401 {
			t.Errorf("%v: status %d", header, resp.StatusCode)
		}
	}
}

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

func TestEventThatCannotBeStored(t *testing.T) {
	tests := map[string]func(context.Context, InboxEvent) error{
		"failure": func(context.Context, InboxEvent) error { return errors.New("database is gone") },
		"too slow": func(ctx context.Context, _ InboxEvent) error {
			<-ctx.Done()
			return ctx.Err()
		},
	}
	for name, store := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options) { o.Inbox, o.StoreTimeout = inbox(store), 20*time.Millisecond })
			resp := r.post(t, strings.NewReader(library), "Callback-Secret", hunter)
			text, _ := io.ReadAll(resp.Body) // of memory
			if resp.StatusCode != 503 || strings.Contains(string(text), "database") {
				t.Errorf("status %d: %s", resp.StatusCode, text)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if r.counts[StoreFailed] != 1 {
				t.Errorf("counts %v", r.counts)
			}
			if log := r.log.String(); !strings.Contains(log, `"asset_id":"a1"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestTooManyAtOnce(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := start(t, func(o *Options) {
		o.MaxConcurrent = 1
		o.Inbox = inbox(func(context.Context, InboxEvent) error {
			entered <- struct{}{}
			<-release
			return nil
		})
	})
	first := make(chan int)
	go func() { first <- r.post(t, strings.NewReader(library), "Callback-Secret", hunter).StatusCode }()
	<-entered
	if resp := r.post(t, strings.NewReader(library), "Callback-Secret", hunter); resp.StatusCode != 503 {
		t.Errorf("second: %d", resp.StatusCode)
	}
	if resp := r.post(t, strings.NewReader(library)); resp.StatusCode != 401 {
		t.Errorf("a stranger: %d", resp.StatusCode)
	}
	if status, _ := get(t, r.url+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	close(release)
	if status := <-first; status != 202 {
		t.Errorf("first: %d", status)
	}
}

func TestReadiness(t *testing.T) {
	for name, tt := range map[string]struct {
		checks map[string]error
		status int
		want   string
	}{
		"ready":     {map[string]error{"database": nil, "schema": nil}, 200, `{"ready":true,"checks":{"database":"ok","schema":"ok"}}`},
		"not ready": {map[string]error{"database": nil, "token": errors.New("login refused: invalid_client")}, 503, `{"ready":false,"checks":{"database":"ok","token":"login refused: invalid_client"}}`},
		"no checks": {nil, 200, `{"ready":true,"checks":{}}`},
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
	if resp := r.post(t, strings.NewReader(library), "Callback-Secret", hunter); resp.StatusCode != 500 {
		t.Errorf("status %d", resp.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("a broken page looked whole")
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
	go func() { status <- r.post(t, strings.NewReader(library), "Callback-Secret", hunter).StatusCode }()
	<-entered
	go func() { stopped <- r.stop() }()
	for { // the listener closes first
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-stopped:
		t.Fatalf("did not wait: %v", err)
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

func TestShutdownCutsWhatTakesTooLong(t *testing.T) {
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
		req.Header.Set("Callback-Secret", hunter)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return // cut off: the CMP sends it again
		}
		defer resp.Body.Close()
		if resp.StatusCode == 202 {
			t.Error("acknowledged what was not stored")
		}
	}()
	<-entered
	if err := r.stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-sent
}

func TestListenerThatFails(t *testing.T) {
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

func TestLimitIsTheClientsOwn(t *testing.T) {
	if cmp.MaxEventBytes != 256<<10 {
		t.Errorf("limit is %d", cmp.MaxEventBytes)
	}
}
