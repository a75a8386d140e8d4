package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/secret"

	"github.com/rs/zerolog"
)

// countedLibrary is the client, its downloads counted.
type countedLibrary struct {
	*cmp.Client
	downloads atomic.Int64
}

// Download is the client's.
func (l *countedLibrary) Download(ctx context.Context, u library.DownloadURL, from int64) (*cmp.Download, error) {
	l.downloads.Add(1)
	return l.Client.Download(ctx, u, from)
}

// simulated starts a CMP without limits, and gives its client.
func simulated(s *stage, assets int) (*countedLibrary, error) {
	sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: assets})
	at, err := sim.Start(s.Context(), "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = sim.Close() })
	client, err := unlimitedClient(at)
	return &countedLibrary{Client: client}, err
}

// unlimitedClient is a client without pace or quota.
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

// noTokens forgets them.
type noTokens struct{}

func (noTokens) Update(
	ctx context.Context, fn func(ctx context.Context, stored cmp.TokenSet) (cmp.TokenSet, error),
) (cmp.TokenSet, error) {
	return fn(ctx, cmp.TokenSet{})
}

// unlimited grants at once.
type unlimited struct{}

func (unlimited) Take(context.Context, grant.Class) error            { return nil }
func (unlimited) Pause(context.Context, time.Duration, string) error { return nil }

func (unlimited) Throttled(context.Context, time.Duration, string) (grant.Throttle, error) {
	return grant.Throttle{}, nil
}

// listen serves h on a free loopback port until the stage is cleared.
func listen(s *stage, h http.Handler) (url string, err error) {
	var config net.ListenConfig
	l, err := config.Listen(s.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return "http://" + l.Addr().String(), nil
}
