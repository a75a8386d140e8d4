package cmp

import (
	"context"
	"errors"
	"net/http"

	"github.com/rs/zerolog"

	"damsync/internal/secret"
)

// The two ways to log in.
const (
	GrantClientCredentials = "client_credentials"
	GrantAuthorizationCode = "authorization_code"
)

// OAuthOptions configures an OAuth. AuthURL is needed by AuthCodeURL only.
type OAuthOptions struct {
	Grant        string // GrantClientCredentials or GrantAuthorizationCode
	ClientID     string
	ClientSecret secret.String
	AuthURL      string
	TokenURL     string
	Scopes       []string // of the authorization code; openid profile offline_access when nil
	Store        TokenStore
	Transport    http.RoundTripper // nil means a transport of its own
	Log          zerolog.Logger
}

// OAuth is the TokenSource over the CMP's token endpoint.
type OAuth struct{ o OAuthOptions }

// NewOAuth returns an OAuth; it sends nothing.
func NewOAuth(o OAuthOptions) (*OAuth, error) { return &OAuth{o: o}, nil }

var errPending = errors.New("token endpoint is not wired")

// Token implements TokenSource.
func (o *OAuth) Token(context.Context) (secret.String, error) { return secret.String{}, errPending }

// Renew implements TokenSource.
func (o *OAuth) Renew(context.Context, secret.String) (secret.String, error) {
	return secret.String{}, errPending
}

// AuthCodeURL is where the user's browser starts the login.
func (o *OAuth) AuthCodeURL(state, redirectURI string) string { return o.o.AuthURL }

// Exchange turns the code that came back into a stored token set.
func (o *OAuth) Exchange(ctx context.Context, code, redirectURI string) error { return errPending }
