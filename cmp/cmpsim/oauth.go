package cmpsim

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The paths of the accounts host (facts.md 1.1).
const (
	authPath     = "/o/oauth2/v1/auth"
	tokenPath    = "/o/oauth2/v1/token"
	revokePath   = "/o/oauth2/v1/revoke"
	userinfoPath = "/o/oauth2/v1/userinfo"
)

func (a *accounts) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+authPath, a.serveAuth)
	mux.HandleFunc("POST "+tokenPath, a.serveToken)
	mux.HandleFunc("POST "+revokePath, a.serveRevoke)
	mux.HandleFunc("GET "+userinfoPath, a.serveUserinfo)
	mux.HandleFunc("/", answerNotFound)
	return mux
}

// serveAuth is the approval page. It approves at once and redirects back.
func (a *accounts) serveAuth(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	redirect, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || !redirectAllowed(redirect) {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", "redirect_uri is not registered: use http on a loopback address")
		return
	}
	if query.Get("client_id") != a.clientID {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "unknown client_id")
		return
	}
	back := redirect.Query()
	if query.Get("response_type") == "code" {
		back.Set("code", a.newCode(query.Get("redirect_uri"), query.Get("scope")))
	} else {
		back.Set("error", "unsupported_response_type")
	}
	if query.Has("state") {
		back.Set("state", query.Get("state"))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound) //nolint:gosec // redirectAllowed checked it
}

// redirectAllowed replaces the app's registered callback URLs (facts.md 1.6) by any http URL on a
// loopback address.
func redirectAllowed(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()))
}

func (a *accounts) serveToken(w http.ResponseWriter, r *http.Request) {
	p, err := bodyParams(r)
	if err != nil {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	if !a.clientKnown(p["client_id"], p["client_secret"]) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "")
		return
	}
	var scope string
	var ok bool
	switch p["grant_type"] {
	case "client_credentials":
		a.writeTokens(w, map[string]any{})
		return
	case "authorization_code":
		scope, ok = a.takeCode(p["code"], p["redirect_uri"])
	case "refresh_token":
		scope, ok = a.takeRefresh(p["refresh_token"])
	default:
		writeOAuthError(w, http.StatusBadRequest, "unsupported_grant_type", "")
		return
	}
	if !ok {
		writeOAuthError(w, http.StatusBadRequest, "invalid_grant", "the grant is unknown, expired or used")
		return
	}
	a.writeTokens(w, a.userTokens(scope))
}

// userTokens are the tokens that the client_credentials grant does not give: a refresh token and,
// with the scope openid, an id token (facts.md 1.3).
func (a *accounts) userTokens(scope string) map[string]any {
	out := map[string]any{"refresh_token": a.newRefresh(scope)}
	if slices.Contains(strings.Fields(scope), "openid") {
		out["id_token"] = a.signer.sign(map[string]string{"sub": a.user, "aud": a.clientID})
	}
	return out
}

// writeTokens answers a new access token beside the given tokens (facts.md 1.3).
func (a *accounts) writeTokens(w http.ResponseWriter, out map[string]any) {
	out["access_token"] = a.newAccess()
	out["expires_in"] = int64(a.tokenLifetime / time.Second)
	out["token_type"] = "Bearer"
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, out)
}

// serveRevoke answers as documented (facts.md 1.4).
func (a *accounts) serveRevoke(w http.ResponseWriter, r *http.Request) {
	p, err := bodyParams(r)
	if err != nil || !a.clientKnown(p["client_id"], p["client_secret"]) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "")
		return
	}
	a.revoke(p["token"])
	writeJSON(w, http.StatusOK, map[string]string{"msg": "success"})
}

func (a *accounts) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	if !a.accessValid(bearer(r)) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_token", "")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"sub": a.user, "name": "Simulated User"})
}

// writeOAuthError answers in the shape of RFC 6749. The CMP documents no shape (facts.md 1.5).
func writeOAuthError(w http.ResponseWriter, status int, class, description string) {
	out := map[string]string{"error": class}
	if description != "" {
		out["error_description"] = description
	}
	writeJSON(w, status, out)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// bodyParams reads a form or a JSON object of strings; the CMP accepts both (facts.md 1.3).
func bodyParams(r *http.Request) (map[string]string, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	out := map[string]string{}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "application/json" {
		if err := json.Unmarshal(b, &out); err != nil {
			return nil, fmt.Errorf("decode body: %w", err)
		}
		return out, nil
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	for k := range form {
		out[k] = form.Get(k)
	}
	return out, nil
}
