package cmp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
)

// Grants gives permission to send requests. *grant.Dispatcher implements it.
type Grants interface {
	// Take blocks until one request of class may be sent now. It returns *grant.Deferred
	// when the quota defers the class.
	Take(ctx context.Context, class grant.Class) error
	// Pause stops the requests of all processes for d.
	Pause(ctx context.Context, d time.Duration, reason string) error
	// Throttled does what Pause does and lowers the pace of all processes for a while. It
	// is called after a 429: the pace was kept, so another client spends the organization's
	// requests.
	Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error)
}

var _ Grants = (*grant.Dispatcher)(nil)

// Options configures a Client. APIURL, Tokens and Grants are required.
type Options struct {
	// APIURL is the root of the API, such as https://api.cmp.optimizely.com/v3. Only its
	// scheme, host and port ever get the bearer.
	APIURL string
	Tokens TokenSource
	Grants Grants
	// RequestsPerSecond spaces the requests of this process where they leave, in addition to
	// the pace that Grants keeps for all processes. 0 does not.
	RequestsPerSecond int
	// Transport carries API calls and downloads; nil means a transport of the client's own
	// with sensible limits. It must neither follow redirects nor send a request twice.
	Transport http.RoundTripper
	UserAgent string // "damsync" when empty
	// Log gets a debug line per request and a warning when the API throttles. It never
	// gets a query or a secret.
	Log zerolog.Logger
	// Observer is called after every request to the API. It must not block.
	Observer func(Observation)
	// AttemptTimeout limits one API request from sending to the last byte; 30 s when
	// zero. It does not include the wait for a grant.
	AttemptTimeout time.Duration
	// StallTimeout ends a download that receives no byte for this long; 60 s when zero.
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

func parseAPIURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("cmp client: API URL %q is not a plain http(s) URL", redactURL(s))
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath, u.Fragment, u.RawFragment = "", "", ""
	return u, nil
}

// origin returns scheme, host and port of u in one comparable form.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// redactURL returns the parts of a URL that may be shown: no user, query or fragment.
func redactURL(s string) string {
	s = redactQuery(s)
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		s = "…" + s[at:]
	}
	return s
}

// redactQuery removes query and fragment from a URL.
func redactQuery(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i]
	}
	return s
}
