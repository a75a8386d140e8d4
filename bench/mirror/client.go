package main

import (
	"context"
	"time"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/internal/secret"

	"github.com/rs/zerolog"
)

// unlimitedClient returns the daemon's client without pace or quota.
func unlimitedClient(at cmpsim.Endpoints) (*cmp.Client, error) {
	login, err := cmp.NewOAuth(cmp.OAuthOptions{
		Grant: cmp.GrantClientCredentials, ClientID: at.ClientID, ClientSecret: secret.New(at.ClientSecret),
		AuthURL: at.AuthURL, TokenURL: at.TokenURL, Store: noTokens{}, Log: zerolog.Nop(),
	})
	if err != nil {
		return nil, err
	}
	return cmp.New(cmp.Options{APIURL: at.APIURL, Tokens: login, Grants: unlimited{}, Log: zerolog.Nop()})
}

// noTokens is a token store that keeps nothing.
type noTokens struct{}

func (noTokens) Update(
	ctx context.Context, fn func(ctx context.Context, stored cmp.TokenSet) (cmp.TokenSet, error),
) (cmp.TokenSet, error) {
	return fn(ctx, cmp.TokenSet{})
}

// unlimited grants every request at once.
type unlimited struct{}

func (unlimited) Take(context.Context, grant.Class) error            { return nil }
func (unlimited) Pause(context.Context, time.Duration, string) error { return nil }

func (unlimited) Throttled(context.Context, time.Duration, string) (grant.Throttle, error) {
	return grant.Throttle{}, nil
}
