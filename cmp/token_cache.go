package cmp

import (
	"sync"
	"time"

	"damsync/internal/secret"
)

const (
	// minRemaining is the least life a token found in the store must have left.
	minRemaining = 5 * time.Second
	maxMargin    = time.Minute
	// After a failure nobody asks the token endpoint again for minBar, doubling to
	// maxBar.
	minBar = time.Second
	maxBar = time.Minute
)

// tokenCache is the present token in memory, and what is known of failures to get
// the next.
type tokenCache struct {
	mu    sync.Mutex
	set   TokenSet
	renew time.Time // when set should be renewed

	orphan   TokenSet      // fetched, but not known to be stored
	replaced secret.String // the refresh token that orphan was got for

	bar      time.Duration
	barUntil time.Time
	barErr   error
}

// put takes set as the present token. It is renewed a minute, or a fifth of what it
// has left, before it expires, whichever is less.
func (c *tokenCache) put(now time.Time, set TokenSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
	c.renew = set.Expires.Add(-min(maxMargin, set.Expires.Sub(now)/5))
	c.orphan, c.replaced = TokenSet{}, secret.String{}
	c.bar, c.barUntil, c.barErr = 0, time.Time{}, nil
}

func (c *tokenCache) get() TokenSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set
}

// fresh returns the present token unless its renewal is due.
func (c *tokenCache) fresh(now time.Time) (secret.String, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.Access, !c.set.Access.IsZero() && now.Before(c.renew)
}

// usable returns the present token unless it has expired.
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

// barred returns the last failure while the endpoint is barred.
func (c *tokenCache) barred(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.barUntil) {
		return c.barErr
	}
	return nil
}

// fetched remembers a set until it is known to be stored: its refresh token works
// once, and the one in the store is used up.
func (c *tokenCache) fetched(stored, set TokenSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orphan, c.replaced = set, stored.Refresh
}

// unstored returns the fetched set that stored was used up for.
func (c *tokenCache) unstored(stored TokenSet) (TokenSet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.orphan, !c.orphan.Refresh.IsZero() && c.replaced == stored.Refresh
}
