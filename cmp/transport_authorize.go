package cmp

import (
	"fmt"
	"net/http"

	"damsync/internal/secret"
)

// authorize adds the bearer to requests for the configured API origin and refuses
// all others. A 401 gets one renewal and one more send.
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
	return t.next.RoundTrip(out)
}
