package cmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"damsync/internal/library"
)

// urlBatch is the number of ids per request. The API's own limit is not documented.
const urlBatch = 100

const maxRedirects = 10

// FileURLs requests fresh download URLs, at one request per 100 ids. Ids for which the
// API has no URL are missing from the map.
func (c *Client) FileURLs(ctx context.Context, ids []string) (map[string]library.DownloadURL, error) {
	out := make(map[string]library.DownloadURL, len(ids))
	for batch := range slices.Chunk(ids, urlBatch) {
		var answer struct {
			URLs map[string]*text `json:"urls"`
		}
		body := map[string][]string{"guids": batch}
		_, err := c.post(ctx, "get file URLs", c.endpoint("file-urls"), body, func(b []byte) error {
			answer.URLs = nil
			if err := json.Unmarshal(b, &answer); err != nil {
				return fmt.Errorf("decode file URLs: %w", err)
			}
			if answer.URLs == nil {
				return errors.New("decode file URLs: no urls object")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for id, u := range answer.URLs {
			if u != nil && *u != "" {
				out[id] = library.NewDownloadURL(string(*u))
			}
		}
	}
	return out, nil
}

// downloadTarget parses u and turns http into https where upgrade does.
func (c *Client) downloadTarget(u library.DownloadURL) (*url.URL, error) {
	target, err := url.Parse(u.Reveal())
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, fmt.Errorf("download: %w: not an http(s) URL", ErrBadResponse)
	}
	c.upgrade(target)
	return target, nil
}

// upgrade turns http into https, because some of the API's examples have http. It leaves
// loopback hosts alone, and every host when the API itself is http, as a simulator's is.
func (c *Client) upgrade(u *url.URL) {
	if u.Scheme == "http" && c.api.Scheme == "https" && !loopback(u.Hostname()) {
		u.Scheme = "https"
		if u.Port() == "80" {
			u.Host = strings.TrimSuffix(u.Host, ":80")
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (c *Client) newDownloadClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return errors.New("too many redirects")
		}
		req.Header.Del("Referer") // it would pass the token of the first URL to the next host
		c.upgrade(req.URL)
		return nil
	}}
}
