package cmp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openGrants grants every request unless err is set, and records the calls.
type openGrants struct {
	mu        sync.Mutex
	taken     []grant.Class
	pauses    []time.Duration
	err       error
	throttled int // pauses after a 429
}

func (g *openGrants) Take(ctx context.Context, class grant.Class) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return g.err
	}
	g.taken = append(g.taken, class)
	return ctx.Err()
}

func (g *openGrants) Pause(_ context.Context, d time.Duration, _ string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pauses = append(g.pauses, d)
	return nil
}

func (g *openGrants) Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error) {
	g.mu.Lock()
	g.throttled++
	g.mu.Unlock()
	return grant.Throttle{Share: 0.5, Lowered: true}, g.Pause(ctx, d, reason)
}

func (g *openGrants) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.taken)
}

// numberedTokens is a TokenSource that counts up with every renewal.
type numberedTokens struct {
	mu      sync.Mutex
	n       int
	renewed int
	fail    error
}

func (t *numberedTokens) Token(context.Context) (secret.String, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return secret.New(fmt.Sprintf("bearer-%d", t.n)), nil
}

func (t *numberedTokens) Renew(_ context.Context, old secret.String) (secret.String, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fail != nil {
		return secret.String{}, t.fail
	}
	if old.Reveal() == fmt.Sprintf("bearer-%d", t.n) {
		t.n++
		t.renewed++
	}
	return secret.New(fmt.Sprintf("bearer-%d", t.n)), nil
}

// fixture is a client with its server.
type fixture struct {
	*cmp.Client
	server *httptest.Server
	grants *openGrants
	tokens *numberedTokens
	seen   *[]cmp.Observation
}

func newFixture(t *testing.T, handle http.HandlerFunc, change ...func(*cmp.Options)) fixture {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var mu sync.Mutex
	var seen []cmp.Observation
	f := fixture{server: server, grants: &openGrants{}, tokens: &numberedTokens{}, seen: &seen}
	o := cmp.Options{
		APIURL: server.URL + "/v3", Tokens: f.tokens, Grants: f.grants, Transport: transport,
		Observer: func(one cmp.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, one)
		},
	}
	for _, c := range change {
		c(&o)
	}
	client, err := cmp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.Client = client
	return f
}

// script answers each request with the next handler, and all further ones with the last.
func script(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	i := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(i, len(handlers)-1)]
		i++
		mu.Unlock()
		h(w, r)
	}
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const emptyPage = `{"data":[],"pagination":{"next":null,"previous":null},"total_count":0}`

// row is one list row; extra replaces or adds members ("key":value, …).
func row(id, extra string) string {
	base := `"id":"` + id + `","title":"T ` + id + `","type":"image","mime_type":"image/png","file_extension":"png",
		"created_at":"2024-05-01T10:00:00Z","modified_at":"2025-06-02T11:00:30.250Z","folder_id":"f1","file_location":"/Brand",
		"is_archived":false,"content":{"type":"url","value":"https://files.example/x?token=SECRET"},"labels":[],
		"links":{"self":"https://api.example/v3/images/` + id + `"},"owner_organization_id":"o1",
		"thumbnail_url":"https://files.example/thumb?token=SECRET"`
	if extra != "" {
		base += "," + extra
	}
	return "{" + base + "}"
}

func page(rows ...string) string {
	return fmt.Sprintf(`{"data":[%s],"pagination":{"next":null,"previous":null},"total_count":%d}`, strings.Join(rows, ","), len(rows))
}

func isClass(err, class error) bool { return err != nil && errors.Is(err, class) }
