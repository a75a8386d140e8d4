package cmp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/internal/secret"
)

// memoryStore is a TokenStore in memory, shared by several replicas.
type memoryStore struct {
	lock chan struct{} // a mutex that a synctest bubble can wait for
	set  cmp.TokenSet
	fail error // of the next write
}

func newMemoryStore() *memoryStore { return &memoryStore{lock: make(chan struct{}, 1)} }

func (s *memoryStore) Update(ctx context.Context, fn func(context.Context, cmp.TokenSet) (cmp.TokenSet, error)) (cmp.TokenSet, error) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	set, err := fn(ctx, s.set)
	if err != nil {
		return cmp.TokenSet{}, fmt.Errorf("update token: %w", err)
	}
	if s.fail != nil {
		err, s.fail = s.fail, nil
		return cmp.TokenSet{}, err
	}
	s.set = set
	return set, nil
}

// loginServer is a token endpoint as a RoundTripper. Refresh tokens work once.
type loginServer struct {
	mu      sync.Mutex
	issued  int
	refresh string // the valid refresh token
	life    int    // seconds
	fault   http.HandlerFunc
	forms   []url.Values
	took    time.Duration
}

func (a *loginServer) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.took > 0 {
		time.Sleep(a.took)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forms = append(a.forms, form)
	rec := httptest.NewRecorder()
	switch {
	case a.fault != nil:
		a.fault(rec, req)
	case form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") != a.refresh:
		answer(400, `{"error":"invalid_grant","error_description":"used"}`)(rec, req)
	default:
		a.issued++
		rotated := ""
		if form.Get("grant_type") != "client_credentials" {
			a.refresh = fmt.Sprintf("refresh-%d", a.issued)
			rotated = `,"refresh_token":"` + a.refresh + `"`
		}
		answer(200, fmt.Sprintf(`{"access_token":"access-%d","token_type":"Bearer","expires_in":%d%s}`, a.issued, a.life, rotated))(rec, req)
	}
	return rec.Result(), nil
}

func (a *loginServer) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.forms)
}

func login(t *testing.T, grant string, store cmp.TokenStore, a http.RoundTripper) *cmp.OAuth {
	t.Helper()
	o, err := cmp.NewOAuth(cmp.OAuthOptions{
		Grant: grant, ClientID: "client", ClientSecret: secret.New("hush-hush"),
		AuthURL: "https://accounts.test/auth", TokenURL: "https://accounts.test/token", Store: store, Transport: a,
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func reveal(t *testing.T, o *cmp.OAuth) string {
	t.Helper()
	token, err := o.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

func TestTokenIsFetchedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &loginServer{life: 3599, took: time.Second}, newMemoryStore()
		replicas := []*cmp.OAuth{login(t, cmp.GrantClientCredentials, store, a), login(t, cmp.GrantClientCredentials, store, a)}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if got := reveal(t, replicas[i%2]); got != "access-1" {
					t.Errorf("got %s", got)
				}
			})
		}
		wg.Wait()
		if a.count() != 1 {
			t.Errorf("%d logins", a.count())
		}
		want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"client"}, "client_secret": {"hush-hush"}}
		if got := a.forms[0].Encode(); got != want.Encode() {
			t.Errorf("form %s", got)
		}
		// All get a 401 at the same time.
		for i := range 20 {
			wg.Go(func() {
				got, err := replicas[i%2].Renew(t.Context(), secret.New("access-1"))
				if err != nil || got.Reveal() != "access-2" {
					t.Errorf("got %s, %v", got.Reveal(), err)
				}
			})
		}
		wg.Wait()
		if a.count() != 2 {
			t.Errorf("%d logins after a 401", a.count())
		}
	})
}

func TestTokenIsRenewedEarly(t *testing.T) {
	for _, c := range []struct {
		life   int
		margin time.Duration
	}{{3600, time.Minute}, {100, 20 * time.Second}, {0, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			a := &loginServer{life: c.life}
			o := login(t, cmp.GrantClientCredentials, newMemoryStore(), a)
			reveal(t, o)
			life := time.Duration(c.life) * time.Second
			if c.life == 0 { // without expires_in, ten minutes are assumed
				life = 10 * time.Minute
			}
			time.Sleep(life - c.margin - time.Millisecond)
			if got := reveal(t, o); got != "access-1" {
				t.Errorf("life %d: renewed before it was due", c.life)
			}
			time.Sleep(time.Millisecond)
			if got := reveal(t, o); got != "access-2" {
				t.Errorf("life %d: not renewed when due", c.life)
			}
		})
	}
}

func TestPresentTokenServesWhileRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &loginServer{life: 3600}
		o := login(t, cmp.GrantClientCredentials, newMemoryStore(), a)
		reveal(t, o)
		a.fault = answer(500, "<html>")
		time.Sleep(59*time.Minute + time.Second)
		for range 100 {
			if got := reveal(t, o); got != "access-1" {
				t.Fatalf("got %s", got)
			}
		}
		if n := a.count(); n > 4 {
			t.Errorf("%d logins: a failing endpoint is logins without pause", n)
		}
		time.Sleep(time.Minute)
		if _, err := o.Token(t.Context()); !isClass(err, cmp.ErrTemporary) || isClass(err, cmp.ErrAuth) {
			t.Errorf("expired: %v", err)
		}
		a.fault = nil
		time.Sleep(time.Minute)
		if got := reveal(t, o); got != "access-2" {
			t.Errorf("recovered with %s", got)
		}
	})
}

// Refresh tokens are single-use, so a new set is stored before it is used, and one that
// could not be stored is kept.
func TestRotationSurvivesAFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &loginServer{life: 3600}, newMemoryStore()
		o := login(t, cmp.GrantAuthorizationCode, store, a)
		if _, err := o.Token(t.Context()); !isClass(err, cmp.ErrAuth) || !strings.Contains(err.Error(), "damsync login") {
			t.Fatalf("before login: %v", err)
		}
		if err := o.Exchange(t.Context(), "the-code", "http://127.0.0.1:1/cb"); err != nil {
			t.Fatal(err)
		}
		if got := reveal(t, o); got != "access-1" || store.set.Refresh.Reveal() != "refresh-1" {
			t.Fatalf("token %s, stored %s", got, store.set.Refresh.Reveal())
		}
		if f := a.forms[len(a.forms)-1]; f.Get("code") != "the-code" || f.Get("redirect_uri") != "http://127.0.0.1:1/cb" {
			t.Errorf("form %v", f)
		}
		store.fail = errors.New("disk full")
		if _, err := o.Renew(t.Context(), secret.New("access-1")); !errors.Is(err, cmp.ErrTemporary) {
			t.Fatalf("a token that is not stored was used: %v", err)
		}
		time.Sleep(time.Minute)
		got, err := o.Renew(t.Context(), secret.New("access-1"))
		if err != nil || got.Reveal() != "access-2" || store.set.Refresh.Reveal() != "refresh-2" {
			t.Fatalf("got %s, stored %s, %v", got.Reveal(), store.set.Refresh.Reveal(), err)
		}
		time.Sleep(time.Hour)
		if got := reveal(t, o); got != "access-3" || a.forms[len(a.forms)-1].Get("refresh_token") != "refresh-2" {
			t.Errorf("got %s with %v", got, a.forms[len(a.forms)-1])
		}
	})
}

func TestLoginFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  http.HandlerFunc
		class  error
		text   string
		logins int
	}{
		{"invalid client", answer(401, `{"error":"invalid_client"}`), cmp.ErrAuth, "invalid_client", 1},
		{"message", answer(400, `{"message":"App disabled"}`), cmp.ErrAuth, "App disabled", 1},
		{"mixed", answer(403, `{"error":"e","error_description":"d","message":"m"}`), cmp.ErrAuth, "e: d: m", 1},
		{"error of another shape", answer(400, `{"error":{"x":1},"message":"m"}`), cmp.ErrAuth, "m", 1},
		{"error in a 200", answer(200, `{"error":"invalid_scope"}`), cmp.ErrAuth, "invalid_scope", 1},
		{"echoed secret", answer(400, `{"message":"bad secret hush-hush"}`), cmp.ErrAuth, "bad secret [secret]", 1},
		{"HTML", answer(400, `<html>hush-hush</html>`), cmp.ErrAuth, "status 400", 1},
		{"500", answer(500, `<html>`), cmp.ErrTemporary, "status 500", 3},
		{"429", answer(429, `{}`), cmp.ErrTemporary, "status 429", 3},
		{"HTML with 200", answer(200, `<html>hush-hush`), cmp.ErrTemporary, "not a token", 3},
		{"no token", answer(200, `{}`), cmp.ErrTemporary, "not a token", 3},
		{"redirect", answer(307, ``, "Location", "https://evil.test/"), cmp.ErrTemporary, "status 307", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &loginServer{fault: c.fault}
				_, err := login(t, cmp.GrantClientCredentials, newMemoryStore(), a).Token(t.Context())
				var auth *cmp.AuthError
				if !isClass(err, c.class) || !errors.As(err, &auth) || auth.Login != cmp.GrantClientCredentials {
					t.Fatalf("got %v", err)
				}
				if got := err.Error(); !strings.Contains(got, c.text) || strings.Contains(got, "hush") {
					t.Errorf("error is %q, want %q in it", got, c.text)
				}
				if a.count() != c.logins {
					t.Errorf("%d logins, want %d", a.count(), c.logins)
				}
			})
		})
	}
}

func TestAuthCodeURL(t *testing.T) {
	o := login(t, cmp.GrantAuthorizationCode, newMemoryStore(), &loginServer{})
	u, err := url.Parse(o.AuthCodeURL("st&te", "http://127.0.0.1:9/cb"))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {"client"}, "redirect_uri": {"http://127.0.0.1:9/cb"}, "response_type": {"code"},
		"scope": {"openid profile offline_access"}, "state": {"st&te"},
	}
	if u.Host != "accounts.test" || u.Query().Encode() != want.Encode() {
		t.Errorf("got %s", u)
	}
}
