package cmpsim

import (
	"crypto/subtle"
	"math/rand/v2"
	"sync"
	"time"
)

// codeLifetime is how long an authorization code works; the CMP publishes no figure.
const codeLifetime = time.Minute

// accounts is the accounts host: authorization codes and tokens.
type accounts struct {
	clock         func() time.Time
	clientID      string
	clientSecret  string
	user          string // id of the user that approves authorizations
	tokenLifetime time.Duration
	signer        tokenSigner // of id tokens

	mu      sync.Mutex // guards the fields below
	ids     *rand.Rand
	codes   map[string]grantedCode
	refresh map[string]string    // scope by refresh token
	access  map[string]time.Time // expiry by access token
}

type grantedCode struct {
	redirectURI, scope string
	expires            time.Time
}

func (a *accounts) clientKnown(id, secret string) bool {
	okID := subtle.ConstantTimeCompare([]byte(id), []byte(a.clientID))
	okSecret := subtle.ConstantTimeCompare([]byte(secret), []byte(a.clientSecret))
	return okID&okSecret == 1
}

func (a *accounts) newCode(redirectURI, scope string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	code := uuid(a.ids)
	a.codes[code] = grantedCode{redirectURI, scope, a.clock().Add(codeLifetime)}
	return code
}

// takeCode uses a code up.
func (a *accounts) takeCode(code, redirectURI string) (scope string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, ok := a.codes[code]
	delete(a.codes, code)
	if !ok || g.redirectURI != redirectURI || a.clock().After(g.expires) {
		return "", false
	}
	return g.scope, true
}

// takeRefresh uses a refresh token up: they are single-use (facts.md 1.4).
func (a *accounts) takeRefresh(token string) (scope string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	scope, ok = a.refresh[token]
	delete(a.refresh, token)
	return scope, ok
}

func (a *accounts) newAccess() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	for t, expires := range a.access {
		if now.After(expires) {
			delete(a.access, t)
		}
	}
	t := uuid(a.ids)
	a.access[t] = now.Add(a.tokenLifetime)
	return t
}

func (a *accounts) newRefresh(scope string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := uuid(a.ids)
	a.refresh[t] = scope
	return t
}

func (a *accounts) accessValid(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	expires, ok := a.access[token]
	return ok && a.clock().Before(expires)
}

func (a *accounts) revoke(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.access, token)
	delete(a.refresh, token)
}

// RevokeAccessTokens invalidates every access token issued so far. Refresh tokens stay valid.
func (s *Simulator) RevokeAccessTokens() {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	clear(s.accounts.access)
}

// RevokeRefreshTokens invalidates every refresh token issued so far. Access tokens stay valid.
func (s *Simulator) RevokeRefreshTokens() {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	clear(s.accounts.refresh)
}
