package httpserver

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"damsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	callbackSecret = "hunter2-callback"
	library        = `{"event_name":"asset_added","data":{"asset":{"id":"a1","type":"image","source":{"id":"t1","type":"task"},"links":{"self":"https://api.example/images/a1"}}}}`
	task           = `{"event_name":"task_removed","data":{"task":{"id":"t1"}}}`
)

type inbox func(context.Context, InboxEvent) error

func (i inbox) Store(ctx context.Context, e InboxEvent) error { return i(ctx, e) }

// running is a server on a real port that records its effects.
type running struct {
	url    string
	addr   string
	stop   func() error // stops the server and returns the result of Serve
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
		WebhookPath: "/webhooks/cmp", WebhookSecret: secret.New(callbackSecret),
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
		_ = r.stop() // tests check the result before cleanup
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
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1]) // not canonicalized
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
	text, _ := io.ReadAll(resp.Body) // from memory
	return resp.StatusCode, string(text)
}

// chunked hides the length of a body.
type chunked struct{ io.Reader }

// sized returns an event of exactly n bytes.
func sized(n int) string {
	return library[:len(library)-1] + strings.Repeat(" ", n-len(library)) + "}"
}
