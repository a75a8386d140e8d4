package sync

import (
	"sync"
	"time"

	"damsync/internal/library"
)

const (
	// urlAge is how long a download URL is used. The CMP publishes no lifetime;
	// tokens seen last up to two hours, and one that has expired costs one
	// request for another.
	urlAge   = 10 * time.Minute
	urlCount = 5_000
)

// urlCache keeps the download URLs that readings brought along, in memory
// only, so that a push right after needs no request for one.
type urlCache struct {
	mu   sync.Mutex
	urls map[string]cachedURL
	now  func() time.Time
}

type cachedURL struct {
	url library.DownloadURL
	at  time.Time
}

func newURLCache() *urlCache { return &urlCache{urls: map[string]cachedURL{}, now: time.Now} }

func (c *urlCache) put(id string, u library.DownloadURL) {
	if u.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.urls) >= urlCount {
		c.shrink()
	}
	c.urls[id] = cachedURL{url: u, at: c.now()}
}

// get returns the URL at hand, if it is not too old.
func (c *urlCache) get(id string) (library.DownloadURL, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.urls[id]
	if !ok || c.now().Sub(u.at) > urlAge {
		return library.DownloadURL{}, false
	}
	return u.url, true
}

// has tells whether a usable URL is at hand.
func (c *urlCache) has(id string) bool {
	_, ok := c.get(id)
	return ok
}

// drop forgets a URL that did not do.
func (c *urlCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.urls, id)
}

// shrink drops what is old and, when that is not enough, anything.
func (c *urlCache) shrink() {
	now := c.now()
	for id, u := range c.urls {
		if now.Sub(u.at) > urlAge || len(c.urls) > urlCount/2 {
			delete(c.urls, id)
		}
	}
}
