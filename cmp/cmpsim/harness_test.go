package cmpsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// clock is a fake clock that moves when a test advances it.
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

// object is a JSON object. Its methods panic when the value has another shape than the test expects.
type object map[string]any

func member[T any](o object, key string) T {
	v, ok := o[key].(T)
	if !ok {
		panic(fmt.Sprintf("%s is %v in %v", key, o[key], o))
	}
	return v
}

func (o object) str(key string) string { return member[string](o, key) }
func (o object) num(key string) int    { return int(member[float64](o, key)) }
func (o object) obj(key string) object { return member[map[string]any](o, key) }

func (o object) texts(key string) []string {
	var out []string
	for _, v := range member[[]any](o, key) {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func (o object) list(key string) []object {
	var out []object
	for _, v := range member[[]any](o, key) {
		m, ok := v.(map[string]any)
		if !ok {
			panic(fmt.Sprintf("%s holds %v", key, v))
		}
		out = append(out, m)
	}
	return out
}

// next returns the URL of the next page, "" at the end.
func (o object) next() string {
	next, _ := o.obj("pagination")["next"].(string) // null at the end
	return next
}

func (o object) ids() []string {
	var out []string
	for _, row := range o.list("data") {
		out = append(out, row.str("id"))
	}
	return out
}

// reply is an answer with its body.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) object() object {
	var o object
	if err := json.Unmarshal(r.body, &o); err != nil {
		panic(fmt.Sprintf("%d %q: %v", r.status, r.body, err))
	}
	return o
}

// bench is a started simulator with a logged-in client.
type bench struct {
	t     testing.TB
	sim   *cmpsim.Simulator
	at    cmpsim.Endpoints
	clock *clock
	http  *http.Client
	token string
	check *simcheck.Checker // validates all API traffic when not nil
}

// start starts a simulator. It has no limits unless adjust sets some.
func start(tb testing.TB, adjust func(*cmpsim.Options)) *bench {
	tb.Helper()
	b := &bench{t: tb, clock: newClock()}
	opts := cmpsim.Options{Seed: 7, Assets: 600, Now: b.clock.now}
	if adjust != nil {
		adjust(&opts)
	}
	b.sim = cmpsim.New(opts)
	at, err := b.sim.Start(tb.Context(), "127.0.0.1:0")
	must(tb, err)
	tr := &http.Transport{}
	b.at, b.http = at, &http.Client{
		Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tb.Cleanup(func() {
		tr.CloseIdleConnections()
		must(tb, b.sim.Close())
	})
	b.login()
	return b
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (b *bench) login() {
	b.t.Helper()
	r := b.grant(url.Values{"grant_type": {"client_credentials"}})
	if r.status != http.StatusOK {
		b.t.Fatalf("login: %d %s", r.status, r.body)
	}
	b.token = r.object().str("access_token")
}

// grant requests a token, as the simulator's client unless v names another one.
func (b *bench) grant(v url.Values) reply {
	b.t.Helper()
	for k, id := range map[string]string{"client_id": b.at.ClientID, "client_secret": b.at.ClientSecret} {
		if !v.Has(k) {
			v.Set(k, id)
		}
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return b.send(http.MethodPost, b.at.TokenURL, form, v.Encode())
}

// send sends one request unchanged and reads the answer.
func (b *bench) send(method, to string, header http.Header, body string) reply {
	b.t.Helper()
	r, err := b.try(b.http, method, to, header, body)
	must(b.t, err)
	return r
}

// try is send for requests that may fail. It returns the part of the answer that arrived.
func (b *bench) try(c *http.Client, method, to string, header http.Header, body string) (reply, error) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(body))
	must(b.t, err)
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	var got bytes.Buffer
	_, err = io.Copy(&got, resp.Body)
	must(b.t, resp.Body.Close())
	return reply{resp.StatusCode, resp.Header, got.Bytes()}, err
}

// api sends one API request. path is a URL, or what follows /v3 in one.
func (b *bench) api(method, path string, body any) reply {
	b.t.Helper()
	r, err := b.tryAPI(method, path, body)
	must(b.t, err)
	return r
}

func (b *bench) tryAPI(method, path string, body any) (reply, error) {
	b.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + b.token}}
	var text string
	if body != nil {
		raw, err := json.Marshal(body)
		must(b.t, err)
		text = string(raw)
		header.Set("Content-Type", "application/json")
	}
	if !strings.HasPrefix(path, "http") {
		path = b.at.APIURL + path
	}
	c := *b.http
	if b.check != nil {
		c.Transport = b.check.RoundTripper(c.Transport, func(err error) { b.t.Errorf("%s %s: %v", method, path, err) })
	}
	return b.try(&c, method, path, header, text)
}

// get expects 200 and a JSON object.
func (b *bench) get(path string) object {
	b.t.Helper()
	r := b.api(http.MethodGet, path, nil)
	if r.status != http.StatusOK {
		b.t.Fatalf("GET %s: %d %s", path, r.status, r.body)
	}
	return r.object()
}

// status sends one API request and returns the status and, for an error, its message.
func (b *bench) status(method, path string, body any) (int, string) {
	b.t.Helper()
	r := b.api(method, path, body)
	if r.status < http.StatusBadRequest {
		return r.status, ""
	}
	message, _ := r.object()["message"].(string) // tests that need a message fail without one
	return r.status, message
}

// download sends no bearer.
func (b *bench) download(from string, header http.Header) reply {
	b.t.Helper()
	return b.send(http.MethodGet, from, header, "")
}

// fileURL requests a fresh download URL. It returns "" when there is none.
func (b *bench) fileURL(id string) string {
	b.t.Helper()
	address, _ := b.api(http.MethodPost, "/file-urls", map[string]any{"guids": []string{id}}).object().obj("urls")[id].(string)
	return address
}

// oneOf returns an asset of a type.
func (b *bench) oneOf(kind string) cmpsim.Asset {
	b.t.Helper()
	all, err := b.sim.Assets(0, 0, false)
	must(b.t, err)
	for _, a := range all {
		if a.Type == kind {
			return a
		}
	}
	b.t.Fatalf("the library has no %s", kind)
	return cmpsim.Asset{}
}
