package cmp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/secret"
)

// The grant types of OAuth 2.0 that a login can use.
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
	Transport    http.RoundTripper // nil means a transport of the login's own
	Log          zerolog.Logger
}

// OAuth is the TokenSource over the CMP's token endpoint. It keeps the current token in
// memory and renews it before it expires, once for all goroutines and, through the
// TokenStore, for all replicas. It is safe for concurrent use.
type OAuth struct {
	o        OAuthOptions
	endpoint tokenEndpoint
	// turn is the lock of renewals, a channel so that waiting for it can be cancelled.
	turn  chan struct{}
	cache tokenCache
}

// NewOAuth returns an OAuth; it sends nothing.
func NewOAuth(o OAuthOptions) (*OAuth, error) {
	switch {
	case o.Grant != GrantClientCredentials && o.Grant != GrantAuthorizationCode:
		return nil, fmt.Errorf("login: unknown grant %q", o.Grant)
	case o.ClientID == "" || o.ClientSecret.IsZero():
		return nil, errors.New("login: client id and client secret are required")
	case o.Store == nil:
		return nil, errors.New("login: a token store is required")
	}
	if u, err := url.Parse(o.TokenURL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("login: token URL %q is not a URL", redactURL(o.TokenURL))
	}
	if o.Scopes == nil {
		o.Scopes = []string{"openid", "profile", "offline_access"}
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return &OAuth{o: o, endpoint: newTokenEndpoint(o), turn: make(chan struct{}, 1)}, nil
}

// AuthCodeURL returns the URL at which the user's browser starts the login. The redirect
// must return state unchanged with the code.
func (o *OAuth) AuthCodeURL(state, redirectURI string) string {
	c := o.endpoint.code
	c.RedirectURL = redirectURI
	return c.AuthCodeURL(state)
}

// Exchange turns the authorization code of a login into a token set and stores it in
// place of any other. A code works once.
func (o *OAuth) Exchange(ctx context.Context, code, redirectURI string) error {
	_, err := o.update(ctx, func(ctx context.Context, _ TokenSet) (TokenSet, error) {
		return o.endpoint.exchange(ctx, code, redirectURI)
	})
	return err
}

// Token implements TokenSource. When a due renewal fails, it returns the current token
// as long as that is valid.
func (o *OAuth) Token(ctx context.Context) (secret.String, error) {
	if t, ok := o.cache.fresh(time.Now()); ok {
		return t, nil
	}
	if err := o.enter(ctx); err != nil {
		return secret.String{}, err
	}
	defer o.exit()
	if t, ok := o.cache.fresh(time.Now()); ok {
		return t, nil
	}
	return o.renew(ctx, o.cache.get().Access, o.cache.usable)
}

// Renew implements TokenSource.
func (o *OAuth) Renew(ctx context.Context, old secret.String) (secret.String, error) {
	if err := o.enter(ctx); err != nil {
		return secret.String{}, err
	}
	defer o.exit()
	if t, ok := o.cache.usable(time.Now()); ok && t != old {
		return t, nil // another goroutine has renewed it
	}
	none := func(time.Time) (secret.String, bool) { return secret.String{}, false }
	return o.renew(ctx, old, none)
}

// renew replaces old with the set that another replica stored or with a new one. When
// that fails it returns the token of fallback, if there is one. The caller holds the turn.
func (o *OAuth) renew(ctx context.Context, old secret.String, fallback func(time.Time) (secret.String, bool)) (secret.String, error) {
	err := o.cache.barred(time.Now())
	if err == nil {
		var set TokenSet
		if set, err = o.update(ctx, o.successor(old)); err == nil {
			return set.Access, nil
		}
		if ctx.Err() == nil {
			o.cache.failed(time.Now(), err)
		}
	}
	if t, ok := fallback(time.Now()); ok {
		o.o.Log.Warn().Err(err).Msg("CMP token renewal failed; the current token is still valid")
		return t, nil
	}
	return secret.String{}, err
}

// successor returns an update that replaces old with the stored set, when that is
// another and valid, and otherwise with a new one.
func (o *OAuth) successor(old secret.String) func(context.Context, TokenSet) (TokenSet, error) {
	return func(ctx context.Context, stored TokenSet) (TokenSet, error) {
		if lost, ok := o.cache.unstored(stored); ok {
			return lost, nil
		}
		if !stored.Access.IsZero() && stored.Access != old && time.Until(stored.Expires) > minRemaining {
			return stored, nil
		}
		set, err := o.endpoint.next(ctx, o.o.Grant, stored)
		if err == nil {
			o.cache.fetched(stored, set)
		}
		return set, err
	}
}

// update runs fn in the store and uses its set once that is stored.
func (o *OAuth) update(ctx context.Context, fn func(context.Context, TokenSet) (TokenSet, error)) (TokenSet, error) {
	set, err := o.o.Store.Update(ctx, fn)
	if err != nil {
		var auth *AuthError
		if errors.As(err, &auth) || ctx.Err() != nil {
			return TokenSet{}, err
		}
		return TokenSet{}, fmt.Errorf("%w: store token: %w", ErrTemporary, err)
	}
	o.cache.put(time.Now(), set)
	return set, nil
}

func (o *OAuth) enter(ctx context.Context) error {
	select {
	case o.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for token: %w", context.Cause(ctx))
	}
}

func (o *OAuth) exit() { <-o.turn }
