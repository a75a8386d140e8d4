package cmp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Options configures a Client. APIURL, Tokens and Grants are required.
type Options struct {
	// APIURL is the root of the API, such as https://api.cmp.optimizely.com/v3. Its
	// scheme, host and port are the only ones that ever get the bearer.
	APIURL string
	Tokens TokenSource
	Grants Grants
	// Transport carries API calls and downloads; nil means a transport of its own
	// with sensible limits. It must not follow redirects or retry by itself, and has to speak
	// HTTP/1.1 to the API: a request that lost its grant is held back by closing its connection.
	Transport http.RoundTripper
	UserAgent string // "damsync" when empty
	// Log gets a debug line a request, and a warning when the API throttles; never a
	// query or a secret.
	Log zerolog.Logger
	// Observer is told of every request sent to the API. It must not block.
	Observer func(Observation)
	// AttemptTimeout limits one API request from sending to the last byte; 30 s
	// when zero. The wait for a grant is not part of it.
	AttemptTimeout time.Duration
	// StallTimeout ends a download that brings no byte for so long; 60 s when zero.
	StallTimeout time.Duration
}

// Client calls the CMP. It is safe for concurrent use.
type Client struct {
	api       *url.URL
	stack     http.RoundTripper
	downloads *http.Client
	userAgent string
	stall     time.Duration
}

// New returns a Client; it sends nothing.
func New(o Options) (*Client, error) {
	api, err := parseAPIURL(o.APIURL)
	if err != nil {
		return nil, err
	}
	if o.Tokens == nil || o.Grants == nil {
		return nil, errors.New("cmp client: a token source and grants are required")
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = 30 * time.Second
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = 60 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "damsync"
	}
	c := &Client{api: api, stack: newStack(api, o), userAgent: o.UserAgent, stall: o.StallTimeout}
	c.downloads = c.newDownloadClient(o.Transport)
	return c, nil
}

// newStack builds the picture in the package comment, innermost first.
func newStack(api *url.URL, o Options) http.RoundTripper {
	var t http.RoundTripper = &whole{next: o.Transport, timeout: o.AttemptTimeout}
	t = &observe{next: t, log: o.Log, observer: o.Observer}
	t = &granting{next: t, grants: o.Grants}
	t = &authorize{next: t, tokens: o.Tokens, origin: origin(api)}
	return &retry{next: t, grants: o.Grants, log: o.Log}
}

// newTransport gives each request in flight a connection of its own. Over HTTP/2 they would share one:
// closing it to hold back the one request whose grant went stale would break all others, each of
// which would cost a grant again. At ten requests a second there is nothing to gain by sharing.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	// The default transport's own configuration offers HTTP/2 whatever Protocols says.
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = 60 * time.Second
	return t
}

func parseAPIURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("cmp client: API URL %q is not a plain http(s) URL", redactURL(s))
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath, u.Fragment, u.RawFragment = "", "", ""
	return u, nil
}

// origin is scheme, host and port in one comparable form.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// redactURL keeps of a URL what can be shown: no user, query or fragment.
func redactURL(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		s = "…" + s[at:]
	}
	return s
}
