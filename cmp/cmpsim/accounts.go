package cmpsim

import (
	"crypto/subtle"
	"math/rand/v2"
	"sync"
	"time"
)

// accounts keeps codes and tokens. Refresh tokens are single-use: each answer to
// one carries the next.
type accounts struct {
	mu      sync.Mutex
	opts    Options
	login   Endpoints
	ids     *rand.Rand
	codes   map[string]grantedCode
	refresh map[string]string    // scope
	access  map[string]time.Time // expiry
}

type grantedCode struct {
	redirectURI, scope string
	expires            time.Time
}

const codeLifetime = time.Minute

func newAccounts(o Options, login Endpoints) *accounts {
	return &accounts{
		opts: o, login: login, ids: newRand(o.Seed, "tokens", uint64(o.Now().UnixNano())),
		codes: map[string]grantedCode{}, refresh: map[string]string{}, access: map[string]time.Time{},
	}
}

func (a *accounts) clientKnown(id, secret string) bool {
	okID := subtle.ConstantTimeCompare([]byte(id), []byte(a.login.ClientID))
	okSecret := subtle.ConstantTimeCompare([]byte(secret), []byte(a.login.ClientSecret))
	return okID&okSecret == 1
}

func (a *accounts) newCode(redirectURI, scope string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	code := tokenID(a.ids)
	a.codes[code] = grantedCode{redirectURI, scope, a.opts.Now().Add(codeLifetime)}
	return code
}

// takeCode uses a code up.
func (a *accounts) takeCode(code, redirectURI string) (scope string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, ok := a.codes[code]
	delete(a.codes, code)
	if !ok || g.redirectURI != redirectURI || a.opts.Now().After(g.expires) {
		return "", false
	}
	return g.scope, true
}

// takeRefresh uses a refresh token up.
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
	now := a.opts.Now()
	for t, expires := range a.access {
		if now.After(expires) {
			delete(a.access, t)
		}
	}
	t := tokenID(a.ids)
	a.access[t] = now.Add(a.opts.TokenLifetime)
	return t
}

func (a *accounts) newRefresh(scope string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := tokenID(a.ids)
	a.refresh[t] = scope
	return t
}

func (a *accounts) accessValid(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	expires, ok := a.access[token]
	return ok && a.opts.Now().Before(expires)
}

func (a *accounts) revoke(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.access, token)
	delete(a.refresh, token)
}

// RevokeAccessTokens makes every access token given so far invalid; refresh
// tokens stay.
func (s *Simulator) RevokeAccessTokens() {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	clear(s.accounts.access)
}

// RevokeRefreshTokens makes every refresh token given so far invalid.
func (s *Simulator) RevokeRefreshTokens() {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	clear(s.accounts.refresh)
}
