package cmpsim_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

func (b *bench) grant(v url.Values) (int, map[string]any) {
	b.t.Helper()
	v.Set("client_id", b.at.ClientID)
	v.Set("client_secret", b.at.ClientSecret)
	status, body := b.postForm(b.at.TokenURL, v)
	return status, decode(b.t, body)
}

// authorize plays the browser: it follows the authorization URL once and returns
// what came back to the redirect URI.
func (b *bench) authorize(v url.Values) url.Values {
	b.t.Helper()
	resp, err := b.http.Get(b.at.AuthURL + "?" + v.Encode())
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		b.t.Fatalf("authorize: %d %v", resp.StatusCode, err)
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
	status, first := b.grant(exchange)
	if status != 200 || first["id_token"] == nil || first["token_type"] != "Bearer" || first["expires_in"].(float64) != 3599 {
		t.Fatalf("exchange: %d %v", status, first)
	}
	if status, _ := b.grant(exchange); status != 400 {
		t.Errorf("second use of the code: %d", status)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}}
	status, second := b.grant(refresh)
	if status != 200 || second["refresh_token"] == first["refresh_token"] {
		t.Fatalf("refresh: %d %v", status, second)
	}
	if status, again := b.grant(refresh); status != 400 || again["error"] != "invalid_grant" {
		t.Errorf("second use of the refresh token: %d %v", status, again)
	}
	b.token = second["access_token"].(string)
	b.get("/label-groups")
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(b.token) {
		t.Errorf("token %q is not UUID shaped", b.token)
	}
}

func TestAuthorizationCanBeDenied(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.DenyAuthorization = true })
	back := b.authorize(url.Values{
		"client_id": {b.at.ClientID}, "redirect_uri": {"http://localhost:1/"}, "response_type": {"code"}, "state": {"x"},
	})
	if back.Get("error") != "access_denied" || back.Get("state") != "x" || back.Has("code") {
		t.Errorf("callback %v", back)
	}
}

func TestClientCredentials(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.TokenLifetime = time.Hour })
	if status, body := b.grant(url.Values{"grant_type": {"client_credentials"}}); status != 200 || body["refresh_token"] != nil {
		t.Errorf("login: %d %v", status, body)
	}
	asJSON := `{"grant_type":"client_credentials","client_id":"` + b.at.ClientID + `","client_secret":"` + b.at.ClientSecret + `"}`
	resp, err := b.http.Post(b.at.TokenURL, "application/json", strings.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	if body := decode(t, readAll(t, resp)); body["access_token"] == nil {
		t.Errorf("login by JSON: %v", body)
	}
	status, body := b.postForm(b.at.TokenURL, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {b.at.ClientID}, "client_secret": {"wrong"},
	})
	if got := decode(t, body); status != 401 || got["error"] != "invalid_client" {
		t.Errorf("wrong secret: %d %v", status, got)
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
