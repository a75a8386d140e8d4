package cmp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"damsync/internal/secret"
)

// authorize adds the bearer to requests for the configured API origin, refuses
// all others, and lets the bearer out again on no way. A 401 gets one renewal and one more send.
type authorize struct {
	next   http.RoundTripper
	tokens TokenSource
	origin string
}

func (t *authorize) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != t.origin {
		return nil, fmt.Errorf("%w: %s", ErrForeignHost, origin(req.URL))
	}
	token, err := t.tokens.Token(req.Context())
	if err != nil {
		return nil, fmt.Errorf("get token: %w", err)
	}
	resp, err := t.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	token, err = t.tokens.Renew(req.Context(), token)
	if err != nil {
		return nil, fmt.Errorf("renew token: %w", err)
	}
	return t.send(req, token)
}

func (t *authorize) send(req *http.Request, token secret.String) (*http.Response, error) {
	out := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("rewind body: %w", err)
		}
		out.Body = body
	}
	out.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	return resp, withhold(resp, token)
}

// withhold takes the bearer out of an answer that repeats it: what an answer says
// goes into errors, logs and the mirror.
func withhold(resp *http.Response, token secret.String) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	body = bytes.ReplaceAll(body, []byte(token.Reveal()), []byte("[secret]"))
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
