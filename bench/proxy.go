package main

import (
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	stdsync "sync"
	"time"
)

// proxy passes requests on to a store and counts them.
type proxy struct {
	http.Handler

	mu     stdsync.Mutex
	counts map[string]requests
}

// requests are those of one kind: their method, and COPY for a PUT of what the
// store holds already.
type requests struct {
	Count int
	Bytes int64 // of bodies, as announced
}

func newProxy(endpoint string) (*proxy, error) {
	store, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	p := &proxy{counts: map[string]requests{}}
	p.Handler = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			p.count(r.In)
			r.Out.URL.Scheme, r.Out.URL.Host = store.Scheme, store.Host
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, ExpectContinueTimeout: time.Second},
	}
	return p, nil
}

func (p *proxy) count(r *http.Request) {
	kind := r.Method
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		kind = "COPY"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[kind]
	p.counts[kind] = requests{c.Count + 1, c.Bytes + max(0, r.ContentLength)}
}

// seen gives the requests by kind so far.
func (p *proxy) seen() map[string]requests {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}
