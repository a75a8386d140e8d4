package cmpsim

import (
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// accountsHandler serves the accounts host. Its requests are not counted against
// the pace: it is another host, and nothing says they are.
func (s *Simulator) accountsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /o/oauth2/v1/auth", s.serveAuth)
	mux.HandleFunc("POST /o/oauth2/v1/token", s.serveToken)
	mux.HandleFunc("POST /o/oauth2/v1/revoke", s.serveRevoke)
	mux.HandleFunc("GET /o/oauth2/v1/userinfo", s.serveUserinfo)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, msgNotFound)
	})
	operation := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		return pattern
	}
	return s.record(hostAccounts, operation, s.injectFaults(hostAccounts, mux))
}

// serveAuth stands for the approval page: it approves at once and redirects back.
func (s *Simulator) serveAuth(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !redirectAllowed(redirect) {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", "redirect_uri is not registered")
		return
	}
	if q.Get("client_id") != s.accounts.login.ClientID {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "unknown client_id")
		return
	}
	back := redirect.Query()
	switch {
	case q.Get("response_type") != "code":
		back.Set("error", "unsupported_response_type")
	default:
		back.Set("code", s.accounts.newCode(q.Get("redirect_uri"), q.Get("scope")))
	}
	if q.Has("state") {
		back.Set("state", q.Get("state"))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound) //nolint:gosec // redirectAllowed was asked
}

// redirectAllowed stands for the app's registered callback URLs: any http URL on a loopback address.
func redirectAllowed(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()))
}

func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	p, err := bodyParams(r)
	if err != nil {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	if !s.accounts.clientKnown(p["client_id"], p["client_secret"]) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "")
		return
	}
	switch p["grant_type"] {
	case "client_credentials":
		s.answerToken(w, "", false)
	case "authorization_code":
		scope, ok := s.accounts.takeCode(p["code"], p["redirect_uri"])
		s.answerGrant(w, scope, ok)
	case "refresh_token":
		scope, ok := s.accounts.takeRefresh(p["refresh_token"])
		s.answerGrant(w, scope, ok)
	default:
		writeOAuthError(w, http.StatusBadRequest, "unsupported_grant_type", "")
	}
}

func (s *Simulator) answerGrant(w http.ResponseWriter, scope string, ok bool) {
	if !ok {
		writeOAuthError(w, http.StatusBadRequest, "invalid_grant", "the grant is unknown, expired or used")
		return
	}
	s.answerToken(w, scope, true)
}

// answerToken answers as documented: no refresh_token for client credentials, an
// id_token only with the openid scope.
func (s *Simulator) answerToken(w http.ResponseWriter, scope string, withRefresh bool) {
	out := map[string]any{
		"access_token": s.accounts.newAccess(),
		"expires_in":   int64(s.opts.TokenLifetime / time.Second),
		"token_type":   "Bearer",
	}
	if withRefresh {
		out["refresh_token"] = s.accounts.newRefresh(scope)
	}
	if slices.Contains(strings.Fields(scope), "openid") {
		out["id_token"] = s.signer.sign([]byte(`{"sub":"` + s.lib.owners[0] + `","aud":"` + s.accounts.login.ClientID + `"}`))
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, out)
}

func (s *Simulator) serveRevoke(w http.ResponseWriter, r *http.Request) {
	p, err := bodyParams(r)
	if err != nil || !s.accounts.clientKnown(p["client_id"], p["client_secret"]) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_client", "")
		return
	}
	s.accounts.revoke(p["token"])
	writeJSON(w, http.StatusOK, map[string]string{"msg": "success"})
}

func (s *Simulator) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	if !s.accounts.accessValid(bearer(r)) {
		writeOAuthError(w, http.StatusUnauthorized, "invalid_token", "")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"sub": s.lib.owners[0], "name": "Simulated User"})
}

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

// bodyParams reads a form or a JSON object of texts. Both are seen in public
// integrations.
func bodyParams(r *http.Request) (map[string]string, error) {
	body := io.LimitReader(r.Body, maxBody)
	out := map[string]string{}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "application/json" {
		err := json.NewDecoder(body).Decode(&out)
		return out, err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(b))
	for k := range form {
		out[k] = form.Get(k)
	}
	return out, err
}
