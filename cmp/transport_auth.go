package cmp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"damsync/internal/secret"
)

// authTransport adds the bearer to requests for the configured API origin and rejects
// all others. It removes the bearer from answers that repeat it. A 401 is followed by
// one renewal and one more request.
type authTransport struct {
	next   http.RoundTripper
	tokens TokenSource
	origin string
}

func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
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

func (t *authTransport) send(req *http.Request, token secret.String) (*http.Response, error) {
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
	return resp, redactToken(resp, token)
}

// redactToken removes token from the body of an answer: parts of the body go into
// errors, logs and the mirror.
func redactToken(resp *http.Response, token secret.String) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	body = bytes.ReplaceAll(body, []byte(token.Reveal()), []byte("[secret]"))
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
