package cmp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"damsync/cmp"
)

// elsewhere is a server on a foreign host. It fails the test when a request carries a secret.
func elsewhere(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if text := strings.Join(values, " "); strings.Contains(text, "bearer-") || strings.Contains(text, "SECRET") {
				t.Errorf("%s got %s: %s", r.Host, name, text)
			}
		}
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestBearerStaysHome(t *testing.T) {
	called := false
	foreign := elsewhere(t, func(w http.ResponseWriter, r *http.Request) { called = true; answer(200, emptyPage)(w, r) })
	for name, handle := range map[string]http.HandlerFunc{
		"redirect":  answer(302, "", "Location", foreign.URL+"/v3/x"),
		"308":       answer(308, "", "Location", foreign.URL+"/v3/x"),
		"next page": answer(200, `{"data":[],"pagination":{"next":"`+foreign.URL+`/v3/folders?offset=100"}}`),
		"user in next page": answer(200, `{"data":[],"pagination":{"next":"http://a:b@`+
			strings.TrimPrefix(foreign.URL, "http://")+`/v3/folders?offset=100"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer bearer-0" {
					t.Errorf("the API got %q", r.Header.Get("Authorization"))
				}
				handle(w, r)
			})
			_, err := f.LabelGroups(t.Context())
			if err == nil || strings.Contains(err.Error(), "a:b") {
				t.Errorf("got %v", err)
			}
			if strings.Contains(name, "next") && !errors.Is(err, cmp.ErrForeignHost) {
				t.Errorf("got %v, want ErrForeignHost", err)
			}
		})
	}
	t.Cleanup(func() {
		if called {
			t.Error("the foreign host was called")
		}
	})
}

// A bearer that the API repeats, in an error or in an asset, does not reach the caller.
func TestBearerIsNotRepeated(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		bearer := r.Header.Get("Authorization")
		if r.URL.Path == "/v3/label-groups" {
			answer(400, `{"message":"who is `+bearer+`?"}`)(w, r)
			return
		}
		answer(200, detail("a", `"seen":"`+bearer+`"`))(w, r)
	})
	if _, err := f.LabelGroups(t.Context()); err == nil || strings.Contains(err.Error(), "bearer-0") || !strings.Contains(err.Error(), "who is Bearer [secret]?") {
		t.Errorf("got error %v", err)
	}
	d, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: "image"})
	if err != nil || strings.Contains(string(d.Detail.Raw), "bearer-0") || !strings.Contains(string(d.Detail.Raw), "[secret]") {
		t.Errorf("%v, %s", err, d.Detail.Raw)
	}
}

// A link to the same host with another port or scheme is foreign.
func TestOriginIsSchemeHostAndPort(t *testing.T) {
	var paths []string
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		answer(200, detail("a", ""))(w, r)
	})
	for _, self := range []string{
		"https://127.0.0.1/v3/images/a", "http://127.0.0.1:1/v3/images/a", "http://localhost/v3/images/a",
		"//evil.example/v3/images/a", "ftp://x/v3/images/a", "::not a url", f.server.URL + "/other/images/a", f.server.URL + "/v3/images/b",
	} {
		d, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: "video", Self: self})
		if err != nil {
			t.Fatalf("%s: %v", self, err)
		}
		if want := f.server.URL + "/v3/videos/a"; d.Asset.Self != want {
			t.Errorf("%s: read at %s, want the rebuilt %s", self, d.Asset.Self, want)
		}
	}
	for _, p := range paths {
		if p != "/v3/videos/a" {
			t.Errorf("requested %s", p)
		}
	}
}

func TestUnauthorizedMidwayRenewsOnceForAll(t *testing.T) {
	var mu sync.Mutex
	valid := "bearer-0"
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+valid {
			answer(401, `{"message":"Unauthorized"}`)(w, r)
			return
		}
		answer(200, emptyPage)(w, r)
	})
	mu.Lock()
	valid = "bearer-1"
	mu.Unlock()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := f.Assets(t.Context(), cmp.AssetQuery{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f.tokens.renewed != 1 {
		t.Errorf("renewed %d times", f.tokens.renewed)
	}
}

func TestFailedRenewalIsTheError(t *testing.T) {
	f := newFixture(t, answer(401, `{"message":"Unauthorized"}`))
	f.tokens.fail = &cmp.AuthError{}
	_, err := f.Assets(t.Context(), cmp.AssetQuery{})
	if !errors.Is(err, f.tokens.fail) || f.grants.count() != 1 {
		t.Errorf("after %d requests: %v", f.grants.count(), err)
	}
}
