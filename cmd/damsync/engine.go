package main

import (
	"context"
	"errors"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/buildinfo"
	"damsync/internal/config"
	"damsync/internal/grant"
	"damsync/internal/secret"
	"damsync/store"
	"damsync/sync"
	"damsync/sync/plan"
	"damsync/sync/source"
)

// library returns the client of the CMP and its login. It sends no request.
func (a *app) library(observer func(cmp.Observation)) (*cmp.Client, *cmp.OAuth, error) {
	login, err := a.login()
	if err != nil {
		return nil, nil, err
	}
	client, err := cmp.New(cmp.Options{
		APIURL: a.cfg.CMP.APIURL, Tokens: login, Grants: grant.NewDispatcher(a.store.Ledger(a.quota())), Log: a.log,
		RequestsPerSecond: a.cfg.CMP.RequestsPerSecond,
		UserAgent:         "damsync/" + buildinfo.Version(), Observer: observer,
	})
	return client, login, err
}

func (a *app) login() (*cmp.OAuth, error) {
	key, err := secret.LoadKey(a.env, a.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	sealer, err := secret.NewSealer(key)
	if err != nil {
		return nil, err
	}
	c := a.cfg.CMP
	return cmp.NewOAuth(cmp.OAuthOptions{
		Grant: c.Grant, ClientID: c.ClientID, ClientSecret: c.ClientSecret, AuthURL: c.AuthURL, TokenURL: c.TokenURL,
		Store: tokenStore{
			tokens:    a.store.Tokens(sealer, c.Grant+" "+c.ClientID),
			renewable: c.Grant == config.GrantClientCredentials,
		}, Log: a.log,
	})
}

// engine connects the library, the store and the targets.
func (a *app) engine(ctx context.Context, lib source.Library) (*sync.Engine, error) {
	instance, err := a.store.Instance(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(instance)
	if err != nil {
		return nil, err
	}
	return sync.New(sync.Options{
		Library: lib, Stores: storesOf(a.store), Instance: instance, Targets: targets, Log: a.log,
		Schedule: sync.Schedule{
			Incremental: a.cfg.Schedule.Incremental, Audit: a.cfg.Schedule.Audit, Sweep: a.cfg.Schedule.Sweep, Verify: a.cfg.Schedule.Verify,
			BackfillOrder: plan.CompileOrder(a.cfg.Schedule.BackfillOrder),
		},
		MonthLimit: int64(a.cfg.CMP.RequestsPerMonth - a.cfg.CMP.RequestsReserved), Budget: a.store.Ledger(a.quota()),
	})
}

// storesOf passes the store to every room of the engine.
func storesOf(s *store.Store) sync.Stores {
	return sync.Stores{
		Lease: s, Wakeups: s, Plan: s, References: s, Preview: s, Mirror: s, Polls: s, Bursts: s, Lookups: s, Audits: s, Details: s,
		Push: s, Guard: s, Backlog: s, Runs: s, Drift: s, Repairs: s,
	}
}

// targets opens the adapter of every configured target. loadConfig has checked their options.
func (a *app) targets(instance string) ([]sync.Target, error) {
	targets := make([]sync.Target, len(a.cfg.Targets))
	for i, t := range a.cfg.Targets {
		adapter, err := newAdapter(t, instance)
		if err != nil {
			return nil, err
		}
		targets[i] = sync.Target{
			Rule: t.Rules, Adapter: a.decorated(adapter, t), Adopt: t.OnForeign == config.ForeignAdopt, RepairDrift: t.OnDrift == config.DriftRepair,
		}
	}
	return targets, nil
}

// decorated wraps an adapter with retries, pacing, metrics and logging, in the order that package
// dam requires.
func (a *app) decorated(adapter dam.Adapter, t config.Target) dam.Adapter {
	adapter = dam.Retry(dam.Pace(adapter, t.RequestsPerSecond))
	if a.targetCalls != nil {
		adapter = dam.Metrics(adapter, func(c dam.Call) { a.targetCalls(t.Spec.Name, c) })
	}
	return dam.Logging(adapter, a.log, t.Spec.Name)
}

// tokenStore lets the client keep its tokens in the store, which package cmp does not import.
type tokenStore struct {
	tokens *store.Tokens
	// renewable tokens are discarded and requested again if they were sealed with another key.
	// Others come from a person's login, which only that person can repeat.
	renewable bool
}

func (s tokenStore) Update(ctx context.Context, fn func(context.Context, cmp.TokenSet) (cmp.TokenSet, error)) (cmp.TokenSet, error) {
	set, err := s.update(ctx, fn)
	if !s.renewable || !errors.Is(err, store.ErrUnreadableTokens) {
		return set, err
	}
	if err := s.tokens.Replace(ctx, store.TokenSet{}); err != nil {
		return set, err
	}
	return s.update(ctx, fn)
}

func (s tokenStore) update(ctx context.Context, fn func(context.Context, cmp.TokenSet) (cmp.TokenSet, error)) (cmp.TokenSet, error) {
	set, err := s.tokens.Update(ctx, func(ctx context.Context, old store.TokenSet) (store.TokenSet, error) {
		set, err := fn(ctx, cmp.TokenSet(old))
		return store.TokenSet(set), err
	})
	return cmp.TokenSet(set), err
}
