package cmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	loginTimeout  = 20 * time.Second
	loginAttempts = 3
	// unknownLifetime is assumed when the answer has no expires_in.
	unknownLifetime = 10 * time.Minute
	// refreshLogin names the login with a refresh token.
	refreshLogin = "refresh_token"
)

// tokenEndpoint fetches token sets. Refresh tokens are single-use, so use every set that
// it returns.
type tokenEndpoint struct {
	code   oauth2.Config
	client *http.Client
}

func newTokenEndpoint(o OAuthOptions) tokenEndpoint {
	return tokenEndpoint{
		code: oauth2.Config{
			ClientID:     o.ClientID,
			ClientSecret: o.ClientSecret.Reveal(),
			Endpoint:     oauth2.Endpoint{AuthURL: o.AuthURL, TokenURL: o.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
			Scopes:       o.Scopes,
		},
		client: &http.Client{
			Transport: o.Transport,
			Timeout:   loginTimeout,
			// A redirected POST would carry the client secret to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// next fetches the set that follows stored.
func (e tokenEndpoint) next(ctx context.Context, grantType string, stored TokenSet) (TokenSet, error) {
	if grantType == GrantClientCredentials {
		return e.fetch(ctx, grantType, func(ctx context.Context) (*oauth2.Token, error) {
			c := clientcredentials.Config{
				ClientID: e.code.ClientID, ClientSecret: e.code.ClientSecret,
				TokenURL: e.code.Endpoint.TokenURL, AuthStyle: oauth2.AuthStyleInParams,
			}
			return c.Token(ctx)
		})
	}
	if stored.Refresh.IsZero() {
		return TokenSet{}, &AuthError{Login: grantType, Message: "not logged in: run damsync login", class: ErrAuth}
	}
	refresh := stored.Refresh.Reveal()
	return e.fetch(ctx, refreshLogin, func(ctx context.Context) (*oauth2.Token, error) {
		return e.code.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	}, refresh)
}

// exchange turns an authorization code into a set.
func (e tokenEndpoint) exchange(ctx context.Context, code, redirectURI string) (TokenSet, error) {
	c := e.code
	c.RedirectURL = redirectURI
	return e.fetch(ctx, GrantAuthorizationCode, func(ctx context.Context) (*oauth2.Token, error) {
		return c.Exchange(ctx, code)
	}, code)
}

// fetch calls request, again after temporary failures. Repeating a refresh whose answer
// was lost is harmless: the server accepts the token or it does not. secrets do not
// appear in errors.
func (e tokenEndpoint) fetch(ctx context.Context, login string, request func(context.Context) (*oauth2.Token, error), secrets ...string) (TokenSet, error) {
	secrets = append(secrets, e.code.ClientSecret)
	return backoff.Retry(ctx, func() (TokenSet, error) {
		token, err := request(context.WithValue(ctx, oauth2.HTTPClient, e.client))
		if err == nil {
			return tokenSet(token), nil
		}
		err = loginFailure(ctx, login, err, secrets...)
		if !errors.Is(err, ErrTemporary) {
			return TokenSet{}, backoff.Permanent(err)
		}
		return TokenSet{}, err
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxTries(loginAttempts))
}

// AuthError is a failed login. Its class is ErrAuth when the server rejected the login,
// and ErrTemporary when it could not be asked.
type AuthError struct {
	Login   string // the kind of login: a grant type, or "refresh_token"
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

// loginFailure classifies an error of x/oauth2. Its text contains the whole body, so
// loginFailure keeps only the server's words, without the secrets that were sent.
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
		out.Message = serverMessage(retrieve)
		if rejected(out.Status) {
			out.class = ErrAuth
		}
	case errors.As(err, &sent):
		out.Message = printable(sent.Err.Error())
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

// rejected reports whether the status of a failed login means that the server rejected
// it. Some servers do so with 200 and an error in the body.
func rejected(status int) bool {
	return status < 300 || !errors.Is(classOf(status, nil), ErrTemporary)
}

// serverMessage returns the server's words, in any of the formats seen.
func serverMessage(e *oauth2.RetrieveError) string {
	if json.Valid(e.Body) {
		return message(e.Body)
	}
	if e.ErrorCode != "" {
		return printable(e.ErrorCode + ": " + e.ErrorDescription)
	}
	return ""
}
