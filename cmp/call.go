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

// maxPages bounds the pages that list follows.
const maxPages = 10_000

// call is the state of one API call. The request's context carries it through the stack.
type call struct {
	op       string
	attempts int       // requests sent so far
	sent     time.Time // when the last one was sent
	// accept decodes a 2xx body. After an error the attempt is repeated, so that a
	// truncated answer is treated like a dropped connection.
	accept func(body []byte) error
	// redirect makes a 3xx the expected answer. It is never followed.
	redirect bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{op: "call", accept: func([]byte) error { return nil }}
}

// reply is an accepted answer without its body.
type reply struct {
	header http.Header
	sent   time.Time // when the answered request was sent
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

// redirect reads the redirect at u.
func (c *Client) redirect(ctx context.Context, op string, u *url.URL) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return reply{}, fmt.Errorf("%s: build request: %w", op, err)
	}
	return c.do(req, &call{op: op, redirect: true, accept: func([]byte) error {
		return errors.New("not a redirect")
	}})
}

// post sends body as JSON. It is repeated like a GET: use it only for idempotent
// operations.
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

// do sends req through the stack directly, not through an http.Client: redirects are
// answers here, and no *url.Error exposes the query.
func (c *Client) do(req *http.Request, one *call) (reply, error) {
	req = req.WithContext(context.WithValue(req.Context(), callKey{}, one))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.stack.RoundTrip(req)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", one.op, err)
	}
	if err := resp.Body.Close(); err != nil { // already read by the stack
		return reply{}, fmt.Errorf("%s: close body: %w", one.op, err)
	}
	return reply{header: resp.Header, sent: one.sent, served: dateOf(resp.Header, time.Time{})}, nil
}

// dateOf returns the Date of a response, or fallback when it has none.
func dateOf(header http.Header, fallback time.Time) time.Time {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return fallback
	}
	return at.UTC()
}

// endpoint returns a URL under the API root; it escapes parts as path segments.
func (c *Client) endpoint(parts ...string) *url.URL { return c.api.JoinPath(escaped(parts)...) }

func escaped(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = url.PathEscape(p)
	}
	return out
}

// link parses a URL from the API. The error for one of another origin is ErrForeignHost.
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

// envelope is one page of any list.
type envelope struct {
	Data       *[]json.RawMessage `json:"data"`
	Pagination struct {
		Next *string `json:"next"`
	} `json:"pagination"`
	Total json.RawMessage `json:"total_count"` // only of GET /assets
}

// next returns the URL of the next page, "" on the last one.
func (e *envelope) next() string {
	if e.Pagination.Next == nil {
		return ""
	}
	return *e.Pagination.Next
}

// list reads all pages from u along pagination.next and calls each for every row. After
// an error the rows before it have been passed on; the caller discards them.
func (c *Client) list(ctx context.Context, op string, u *url.URL, each func(json.RawMessage) error) error {
	q := u.Query()
	q.Set("page_size", strconv.Itoa(maxPageSize))
	u.RawQuery = q.Encode()
	seen := map[string]bool{}
	for len(seen) < maxPages && !seen[u.String()] {
		seen[u.String()] = true
		var page envelope
		_, err := c.get(ctx, op, u, func(b []byte) (err error) {
			page, err = decodeEnvelope(b)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range *page.Data {
			if err := each(row); err != nil {
				return fmt.Errorf("%s: %w: %w", op, ErrBadResponse, err)
			}
		}
		if page.next() == "" {
			return nil
		}
		if u, err = c.link(page.next()); err != nil {
			return fmt.Errorf("%s: next page: %w", op, err)
		}
	}
	return fmt.Errorf("%s: %w: pagination does not end", op, ErrBadResponse)
}

func decodeEnvelope(b []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return envelope{}, fmt.Errorf("decode page: %w", err)
	}
	if e.Data == nil {
		return envelope{}, errors.New("decode page: no data array")
	}
	return e, nil
}

// decodeRow decodes one row of a list into v. id, a field of v, must not be empty.
func decodeRow(b json.RawMessage, what string, v any, id *text) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	if *id == "" {
		return fmt.Errorf("decode %s: no id", what)
	}
	return nil
}
