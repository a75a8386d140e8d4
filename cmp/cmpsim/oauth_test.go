package cmpsim_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

// authorize opens the authorization URL as a browser does, and returns the query of the redirect.
func (b *bench) authorize(v url.Values) url.Values {
	b.t.Helper()
	r := b.send(http.MethodGet, b.at.AuthURL+"?"+v.Encode(), nil, "")
	to, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusFound {
		b.t.Fatalf("authorize: %d %s %v", r.status, r.body, err)
	}
	return to.Query()
}

func TestRefreshTokensAreSingleUse(t *testing.T) {
	b := start(t, nil)
	const redirect = "http://127.0.0.1:9999/callback"
	back := b.authorize(url.Values{
		"client_id": {b.at.ClientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {"s1"},
		"scope": {"openid profile offline_access"},
	})
	if back.Get("state") != "s1" || back.Get("code") == "" {
		t.Fatalf("callback %v", back)
	}
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {redirect}}
	r := b.grant(exchange)
	first := r.object()
	if r.status != http.StatusOK || first["id_token"] == nil || first["token_type"] != "Bearer" || first.num("expires_in") != 3599 {
		t.Fatalf("exchange: %d %v", r.status, first)
	}
	if r := b.grant(exchange); r.status != 400 {
		t.Errorf("second use of the code: %d", r.status)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.str("refresh_token")}}
	r = b.grant(refresh)
	second := r.object()
	if r.status != http.StatusOK || second["refresh_token"] == first["refresh_token"] {
		t.Fatalf("refresh: %d %v", r.status, second)
	}
	if again := b.grant(refresh); again.status != 400 || again.object()["error"] != "invalid_grant" {
		t.Errorf("second use of the refresh token: %d %s", again.status, again.body)
	}
	b.token = second.str("access_token")
	b.get("/label-groups")
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(b.token) {
		t.Errorf("token %q is not UUID shaped", b.token)
	}
}

func TestClientCredentials(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.TokenLifetime = time.Hour })
	if r := b.grant(url.Values{"grant_type": {"client_credentials"}}); r.status != http.StatusOK || r.object()["refresh_token"] != nil {
		t.Errorf("login: %d %s", r.status, r.body)
	}
	asJSON := `{"grant_type":"client_credentials","client_id":"` + b.at.ClientID + `","client_secret":"` + b.at.ClientSecret + `"}`
	r := b.send(http.MethodPost, b.at.TokenURL, http.Header{"Content-Type": {"application/json"}}, asJSON)
	if r.status != http.StatusOK || r.object()["access_token"] == nil {
		t.Errorf("login by JSON: %d %s", r.status, r.body)
	}
	r = b.grant(url.Values{"grant_type": {"client_credentials"}, "client_secret": {"wrong"}})
	if r.status != http.StatusUnauthorized || r.object()["error"] != "invalid_client" {
		t.Errorf("wrong secret: %d %s", r.status, r.body)
	}
}

func TestAccessTokensExpire(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.TokenLifetime = time.Hour })
	b.clock.advance(time.Hour - time.Second)
	b.get("/label-groups")
	b.clock.advance(time.Second)
	if got, msg := b.status("GET", "/label-groups", nil); got != 401 || msg != "Unauthorized" {
		t.Errorf("expired token: %d %s", got, msg)
	}
	b.login()
	b.get("/label-groups")
	b.sim.RevokeAccessTokens()
	if got, _ := b.status("GET", "/label-groups", nil); got != 401 {
		t.Errorf("revoked token: %d", got)
	}
}
