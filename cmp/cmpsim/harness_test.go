package cmpsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"damsync/cmp/cmpsim"
	"damsync/cmp/cmpsim/simcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a fake clock that only tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is a started simulator with a logged-in client.
type bench struct {
	t     testing.TB
	sim   *cmpsim.Simulator
	at    cmpsim.Endpoints
	clock *clock
	http  *http.Client
	token string
	check *simcheck.Checker // validates all traffic when not nil
}

// start gives a simulator without limits unless adjust sets some.
func start(t testing.TB, adjust func(*cmpsim.Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock()}
	opts := cmpsim.Options{Seed: 7, Assets: 600, Now: b.clock.now}
	if adjust != nil {
		adjust(&opts)
	}
	b.sim = cmpsim.New(opts)
	at, err := b.sim.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	b.at, b.http = at, &http.Client{
		Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := b.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b.login()
	return b
}

func (b *bench) login() {
	b.t.Helper()
	status, body := b.postForm(b.at.TokenURL, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {b.at.ClientID}, "client_secret": {b.at.ClientSecret},
	})
	if status != 200 {
		b.t.Fatalf("login: %d %s", status, body)
	}
	b.token = decode(b.t, body)["access_token"].(string)
}

func (b *bench) postForm(to string, v url.Values) (int, []byte) {
	b.t.Helper()
	resp, err := b.http.PostForm(to, v)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, readAll(b.t, resp)
}

func readAll(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decode(t testing.TB, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	return m
}

// do sends one API request; path starts after /v3.
func (b *bench) do(method, path string, body any) *http.Response {
	b.t.Helper()
	resp, err := b.try(method, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

func (b *bench) try(method, path string, body any) (*http.Response, error) {
	b.t.Helper()
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	to := path
	if !strings.HasPrefix(path, "http") {
		to = b.at.APIURL + path
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, to, r)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c := *b.http
	if b.check != nil {
		c.Transport = b.check.RoundTripper(c.Transport, func(err error) { b.t.Errorf("%s %s: %v", method, path, err) })
	}
	return c.Do(req)
}

// get expects 200 and a JSON object.
func (b *bench) get(path string) map[string]any {
	b.t.Helper()
	resp := b.do("GET", path, nil)
	body := readAll(b.t, resp)
	if resp.StatusCode != 200 {
		b.t.Fatalf("GET %s: %d %s", path, resp.StatusCode, body)
	}
	return decode(b.t, body)
}

// status sends a request and returns status and message.
func (b *bench) status(method, path string, body any) (int, string) {
	b.t.Helper()
	resp := b.do(method, path, body)
	raw := readAll(b.t, resp)
	if len(raw) == 0 {
		return resp.StatusCode, ""
	}
	message, _ := decode(b.t, raw)["message"].(string)
	return resp.StatusCode, message
}

func rowsOf(page map[string]any) []map[string]any {
	var out []map[string]any
	for _, r := range page["data"].([]any) {
		out = append(out, r.(map[string]any))
	}
	return out
}

func idsOf(page map[string]any) []string {
	var out []string
	for _, r := range rowsOf(page) {
		out = append(out, r["id"].(string))
	}
	return out
}

// oneOf returns the truth about some asset of a type.
func (b *bench) oneOf(kind string) cmpsim.Asset {
	b.t.Helper()
	all, err := b.sim.Assets(0, 0, false)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, a := range all {
		if a.Type == kind {
			return a
		}
	}
	b.t.Fatalf("the library has no %s", kind)
	return cmpsim.Asset{}
}
