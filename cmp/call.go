package cmp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxPages bounds a walk along pagination.next.
const maxPages = 10_000

// call goes with one API call through the stack, in the request's context.
type call struct {
	op       string
	attempts int       // requests sent so far
	sent     time.Time // when the last of them was
	// accept decodes a 2xx body. Its error makes the attempt one to be repeated, so
	// that half an answer is treated as a dropped connection is.
	accept func(body []byte) error
	// redirect says that a 3xx is the answer wanted. It is never followed.
	redirect bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{op: "call", accept: func([]byte) error { return nil }}
}

// reply is what remains of an accepted answer besides its body.
type reply struct {
	header http.Header
	sent   time.Time // when the request left that was answered
	served time.Time // the server's Date, zero when absent
}

// get reads u, which must be on the API host.
func (c *Client) get(ctx context.Context, op string, u *url.URL, accept func([]byte) error) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return reply{}, fmt.Errorf("%s: build request: %w", op, err)
	}
	return c.do(req, &call{op: op, accept: accept})
}

// redirect reads the redirect that u answers.
func (c *Client) redirect(ctx context.Context, op string, u *url.URL) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return reply{}, fmt.Errorf("%s: build request: %w", op, err)
	}
	return c.do(req, &call{op: op, redirect: true, accept: func([]byte) error {
		return errors.New("no redirect")
	}})
}

// post sends body as JSON. It is repeated as a GET is: use it only where that does
// no harm.
func (c *Client) post(ctx context.Context, op string, u *url.URL, body any, accept func([]byte) error) (reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return reply{}, fmt.Errorf("%s: encode request: %w", op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(b))
	if err != nil {
		return reply{}, fmt.Errorf("%s: build request: %w", op, err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, &call{op: op, accept: accept})
}

// do passes req through the stack itself, not through an http.Client: redirects
// are answers here, and no *url.Error carries the query away.
func (c *Client) do(req *http.Request, one *call) (reply, error) {
	req = req.WithContext(context.WithValue(req.Context(), callKey{}, one))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.stack.RoundTrip(req)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", one.op, err)
	}
	if err := resp.Body.Close(); err != nil { // the stack has read it
		return reply{}, fmt.Errorf("%s: close body: %w", one.op, err)
	}
	return reply{header: resp.Header, sent: one.sent, served: dateOf(resp.Header, time.Time{})}, nil
}

// dateOf returns the Date of a response, or otherwise when it has none.
func dateOf(header http.Header, otherwise time.Time) time.Time {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return otherwise
	}
	return at.UTC()
}

// endpoint builds a URL under the API root; parts are path segments, escaped.
func (c *Client) endpoint(parts ...string) *url.URL { return c.api.JoinPath(escaped(parts)...) }

func escaped(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = url.PathEscape(p)
	}
	return out
}

// link reads a URL that the API gave. One to another origin is ErrForeignHost.
func (c *Client) link(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%w: a link is not a URL", ErrBadResponse)
	}
	u = c.api.ResolveReference(u)
	if origin(u) != origin(c.api) || u.User != nil {
		return nil, fmt.Errorf("%w: %s", ErrForeignHost, origin(u))
	}
	return u, nil
}

// envelope is the frame of every list.
type envelope struct {
	Data       *[]json.RawMessage `json:"data"`
	Pagination struct {
		Next *string `json:"next"`
	} `json:"pagination"`
}

// list reads all pages from u along pagination.next and hands every row to each.
// Rows given before a failure have been handed over: the caller drops them.
func (c *Client) list(ctx context.Context, op string, u *url.URL, each func(json.RawMessage) error) error {
	q := u.Query()
	q.Set("page_size", strconv.Itoa(maxPageSize))
	u.RawQuery = q.Encode()
	seen := map[string]bool{}
	for len(seen) < maxPages && !seen[u.String()] {
		seen[u.String()] = true
		var page envelope
		if _, err := c.get(ctx, op, u, func(b []byte) error { return decodeEnvelope(b, &page) }); err != nil {
			return err
		}
		for _, row := range *page.Data {
			if err := each(row); err != nil {
				return fmt.Errorf("%s: %w: %w", op, ErrBadResponse, err)
			}
		}
		if page.Pagination.Next == nil || *page.Pagination.Next == "" {
			return nil
		}
		next, err := c.link(*page.Pagination.Next)
		if err != nil {
			return fmt.Errorf("%s: next page: %w", op, err)
		}
		u = next
	}
	return fmt.Errorf("%s: %w: pagination does not end", op, ErrBadResponse)
}

func decodeEnvelope(b []byte, into *envelope) error {
	*into = envelope{}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("decode page: %w", err)
	}
	if into.Data == nil {
		return errors.New("decode page: no data array")
	}
	return nil
}
