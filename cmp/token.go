package cmp

import (
	"context"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"damsync/internal/secret"
)

// TokenSource provides the bearer for API requests. *OAuth implements it.
type TokenSource interface {
	// Token returns a bearer that is believed valid.
	Token(ctx context.Context) (secret.String, error)
	// Renew returns another bearer after the API answered old with 401: one that was
	// renewed in the meantime, or a new one. The error is ErrAuth when the login itself is
	// rejected, and ErrTemporary when it could not be tried.
	Renew(ctx context.Context, old secret.String) (secret.String, error)
}

// TokenSet is the result of one login. The zero value means not logged in.
type TokenSet struct {
	Access  secret.String
	Refresh secret.String // empty with client_credentials
	Expires time.Time     // of Access
}

// TokenStore keeps one token set for all replicas.
type TokenStore interface {
	// Update calls fn, under a lock that all replicas share, with the stored set, which is
	// zero when there is none. The set that fn returns is stored durably before Update
	// returns it. When fn fails nothing is stored, and Update returns its error, possibly
	// wrapped.
	Update(ctx context.Context, fn func(ctx context.Context, stored TokenSet) (TokenSet, error)) (TokenSet, error)
}

func tokenSet(t *oauth2.Token) TokenSet {
	set := TokenSet{Access: secret.New(t.AccessToken), Refresh: secret.New(t.RefreshToken), Expires: t.Expiry}
	if set.Expires.IsZero() {
		set.Expires = time.Now().Add(unknownLifetime)
	}
	return set
}

const (
	// minRemaining is the least lifetime that a token found in the store must have left.
	minRemaining = 5 * time.Second
	maxEarly     = time.Minute // how long before its expiry a token is renewed, at most
	// After a failed login, the token endpoint is not asked again for minBar, doubling up
	// to maxBar.
	minBar = time.Second
	maxBar = time.Minute
)

// tokenCache holds the current token in memory, and the state of failed renewals.
type tokenCache struct {
	mu    sync.Mutex
	set   TokenSet
	renew time.Time // when set should be renewed

	orphan   TokenSet      // fetched, but not known to be stored
	replaced secret.String // the refresh token that was used up for orphan

	bar      time.Duration
	barUntil time.Time
	barErr   error
}

// put makes set the current token. It is due for renewal a minute before it expires, or
// after four fifths of its remaining lifetime, whichever is later.
func (c *tokenCache) put(now time.Time, set TokenSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
	c.renew = set.Expires.Add(-min(maxEarly, set.Expires.Sub(now)/5))
	c.orphan, c.replaced = TokenSet{}, secret.String{}
	c.bar, c.barUntil, c.barErr = 0, time.Time{}, nil
}

func (c *tokenCache) get() TokenSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set
}

// fresh returns the current token unless its renewal is due.
func (c *tokenCache) fresh(now time.Time) (secret.String, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.Access, !c.set.Access.IsZero() && now.Before(c.renew)
}

// usable returns the current token unless it has expired.
func (c *tokenCache) usable(now time.Time) (secret.String, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.Access, !c.set.Access.IsZero() && now.Before(c.set.Expires)
}

// failed bars the token endpoint for a while.
func (c *tokenCache) failed(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar = min(max(2*c.bar, minBar), maxBar)
	c.barUntil, c.barErr = now.Add(c.bar), err
}

// barred returns the last failure while the token endpoint is barred.
func (c *tokenCache) barred(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.barUntil) {
		return c.barErr
	}
	return nil
}

// fetched keeps a set until it is known to be stored: refresh tokens are single-use, and
// the one in the store is used up.
func (c *tokenCache) fetched(stored, set TokenSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orphan, c.replaced = set, stored.Refresh
}

// unstored returns the fetched set for which the refresh token in stored was used up.
func (c *tokenCache) unstored(stored TokenSet) (TokenSet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.orphan, !c.orphan.Refresh.IsZero() && c.replaced == stored.Refresh
}
