package cmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// refreshLogin names the login with a refresh token.
const refreshLogin = "refresh_token"

// AuthError is a login that failed. Its class is ErrAuth when the server refused
// it and ErrTemporary when it could not be asked.
type AuthError struct {
	Login   string // which login: a grant, or "refresh_token"
	Status  int    // HTTP status; 0 when no answer came
	Message string // the server's own words, without secrets
	class   error
}

func (e *AuthError) Error() string {
	s := fmt.Sprintf("login with %s: %v", e.Login, e.class)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Unwrap returns the class.
func (e *AuthError) Unwrap() error { return e.class }

// loginFailure classes an error of x/oauth2. That library's own text holds the
// body, so nothing of it is kept but the server's words, without the secrets sent.
func loginFailure(ctx context.Context, login string, err error, secrets ...string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("login with %s: %w", login, context.Cause(ctx))
	}
	out := &AuthError{Login: login, class: ErrTemporary}
	var retrieve *oauth2.RetrieveError
	var sent *url.Error
	switch {
	case errors.As(err, &retrieve):
		out.Status = retrieve.Response.StatusCode
		out.Message = words(retrieve)
		if refusal(out.Status) {
			out.class = ErrAuth
		}
	case errors.As(err, &sent):
		out.Message = shown(sent.Err.Error())
	default:
		out.Message = "the answer is not a token"
	}
	if login == refreshLogin && errors.Is(out.class, ErrAuth) {
		out.Message = strings.TrimPrefix(out.Message+"; log in again: run damsync login", "; ")
	}
	for _, s := range secrets {
		if s != "" {
			out.Message = strings.ReplaceAll(out.Message, s, "[secret]")
		}
	}
	return out
}

// refusal tells a login that was refused from an endpoint in trouble. Some servers
// refuse with 200 and an error in the body.
func refusal(status int) bool {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return false
	default:
		return status < 300 || (status >= 400 && status < 500)
	}
}

// words finds what the server said, in any of the shapes seen.
func words(e *oauth2.RetrieveError) string {
	if json.Valid(e.Body) {
		return message(e.Body)
	}
	if e.ErrorCode != "" {
		return shown(e.ErrorCode + ": " + e.ErrorDescription)
	}
	return ""
}
