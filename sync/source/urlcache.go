package source

import (
	"sync"
	"time"

	"damsync/internal/library"
)

const (
	// urlAge is how long a download URL is used. The CMP publishes no lifetime; tokens seen so far last up
	// to two hours, and an expired one costs one request for another.
	urlAge   = 10 * time.Minute
	urlLimit = 5_000
)

// URLCache keeps the download URLs that came with details and pages, in memory only, so that a push soon after needs no
// request for one. Its methods are safe for concurrent use.
type URLCache struct {
	mu   sync.Mutex
	urls map[string]cachedURL
	now  func() time.Time
}

type cachedURL struct {
	url library.DownloadURL
	at  time.Time
}

// NewURLCache returns an empty cache.
func NewURLCache() *URLCache { return &URLCache{urls: map[string]cachedURL{}, now: time.Now} }

// Put keeps the URL of an asset; a zero URL is ignored.
func (c *URLCache) Put(id string, u library.DownloadURL) {
	if u.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.urls) >= urlLimit {
		c.shrink()
	}
	c.urls[id] = cachedURL{url: u, at: c.now()}
}

// Get returns the URL of an asset unless it is too old.
func (c *URLCache) Get(id string) (library.DownloadURL, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.urls[id]
	if !ok || c.now().Sub(u.at) > urlAge {
		return library.DownloadURL{}, false
	}
	return u.url, true
}

// Has reports whether Get would return a URL.
func (c *URLCache) Has(id string) bool {
	_, ok := c.Get(id)
	return ok
}

// Drop forgets a URL that did not work.
func (c *URLCache) Drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.urls, id)
}

// shrink drops old URLs and, when that is not enough, any.
func (c *URLCache) shrink() {
	now := c.now()
	for id, u := range c.urls {
		if now.Sub(u.at) > urlAge || len(c.urls) > urlLimit/2 {
			delete(c.urls, id)
		}
	}
}
