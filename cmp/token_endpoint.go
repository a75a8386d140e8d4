package cmp

import (
	"context"
	"errors"
	"net/http"
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
)

// endpoint asks the token endpoint. Every answer is used at most once by the
// caller: refresh tokens are single-use.
type endpoint struct {
	code   oauth2.Config
	client *http.Client
}

func newEndpoint(o OAuthOptions) endpoint {
	return endpoint{
		code: oauth2Config(o),
		client: &http.Client{
			Transport: o.Transport,
			Timeout:   loginTimeout,
			// A redirected POST would carry the client secret to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// next fetches the set that follows stored.
func (e endpoint) next(ctx context.Context, grant string, stored TokenSet) (TokenSet, error) {
	if grant == GrantClientCredentials {
		return e.fetch(ctx, grant, func(ctx context.Context) (*oauth2.Token, error) {
			c := clientcredentials.Config{
				ClientID: e.code.ClientID, ClientSecret: e.code.ClientSecret,
				TokenURL: e.code.Endpoint.TokenURL, AuthStyle: oauth2.AuthStyleInParams,
			}
			return c.Token(ctx)
		})
	}
	if stored.Refresh.IsZero() {
		return TokenSet{}, &AuthError{Login: grant, Message: "nobody has logged in yet: run damsync login", class: ErrAuth}
	}
	refresh := stored.Refresh.Reveal()
	return e.fetch(ctx, refreshLogin, func(ctx context.Context) (*oauth2.Token, error) {
		return e.code.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	}, refresh)
}

// exchange turns an authorization code into a set.
func (e endpoint) exchange(ctx context.Context, code, redirectURI string) (TokenSet, error) {
	c := e.code
	c.RedirectURL = redirectURI
	return e.fetch(ctx, GrantAuthorizationCode, func(ctx context.Context) (*oauth2.Token, error) {
		return c.Exchange(ctx, code)
	}, code)
}

// fetch asks, and asks again after a temporary failure. Asking again with a refresh
// token whose answer was lost is harmless: it is used up or it is not.
func (e endpoint) fetch(ctx context.Context, login string, ask func(context.Context) (*oauth2.Token, error), secrets ...string) (TokenSet, error) {
	secrets = append(secrets, e.code.ClientSecret)
	return backoff.Retry(ctx, func() (TokenSet, error) {
		token, err := ask(context.WithValue(ctx, oauth2.HTTPClient, e.client))
		if err == nil {
			return tokenSet(token), nil
		}
		err = loginFailure(ctx, login, err, secrets...)
		if !errors.Is(err, ErrTemporary) {
			return TokenSet{}, backoff.Permanent(err)
		}
		return TokenSet{}, err
	}, backoff.WithBackOff(curve()), backoff.WithMaxTries(loginAttempts))
}
