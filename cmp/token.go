package cmp

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"damsync/internal/secret"
)

// TokenSource gives the bearer for API requests. *OAuth implements it.
type TokenSource interface {
	// Token returns a bearer that is believed valid.
	Token(ctx context.Context) (secret.String, error)
	// Renew is told that old was answered 401 and returns another bearer: one that
	// somebody renewed meanwhile, or a new one. The error is ErrAuth when the login
	// itself is refused, ErrTemporary when it could not be tried.
	Renew(ctx context.Context, old secret.String) (secret.String, error)
}

// TokenSet is what one login yields. The zero value means not logged in.
type TokenSet struct {
	Access  secret.String
	Refresh secret.String // empty with client_credentials
	Expires time.Time     // of Access, absolute
}

// TokenStore keeps one token set across replicas.
type TokenStore interface {
	// Update runs fn under a lock shared by all replicas with the stored set (zero
	// when none). What fn returns is stored durably before Update returns it. When
	// fn fails nothing is stored and its error is returned, wrapped at most.
	Update(ctx context.Context, fn func(ctx context.Context, stored TokenSet) (TokenSet, error)) (TokenSet, error)
}

func tokenSet(t *oauth2.Token) TokenSet {
	set := TokenSet{Access: secret.New(t.AccessToken), Refresh: secret.New(t.RefreshToken), Expires: t.Expiry}
	if set.Expires.IsZero() {
		set.Expires = time.Now().Add(unknownLifetime)
	}
	return set
}
