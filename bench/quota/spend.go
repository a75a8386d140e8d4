package main

import (
	"context"
	"errors"
	stdsync "sync"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/secret"
	"damsync/store"
)

// spendWorkers is how many requests a process has under way at most.
const spendWorkers = 3

type spendJob struct {
	Database, API string
	Budget        int64
}

// spendBudget sends requests of three classes until the quota defers each.
func spendBudget(ctx context.Context, job spendJob) (struct{}, error) {
	pool, err := store.Connect(ctx, job.Database)
	if err != nil {
		return struct{}{}, err
	}
	defer pool.Close()
	ledger := store.New(pool, "spender").Ledger(store.LedgerConfig{PerSecond: perSecond, PerMonth: job.Budget})
	client, err := cmp.New(cmp.Options{APIURL: job.API, Tokens: anyToken{}, Grants: grant.NewDispatcher(ledger), RequestsPerSecond: perSecond})
	if err != nil {
		return struct{}{}, err
	}
	errs := make([]error, spendWorkers)
	var wg stdsync.WaitGroup
	for i, class := range []grant.Class{grant.Webhook, grant.Detail, grant.Sweep} {
		wg.Go(func() { errs[i] = spendAll(grant.WithClass(ctx, class), client) })
	}
	wg.Wait()
	return struct{}{}, errors.Join(errs...)
}

func spendAll(ctx context.Context, client *cmp.Client) error {
	for {
		_, err := client.Assets(ctx, cmp.AssetQuery{PageSize: 100})
		if _, deferred := errors.AsType[*grant.Deferred](err); deferred {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// anyToken is a token source for the receiver, which checks no token.
type anyToken struct{}

func (anyToken) Token(context.Context) (secret.String, error) { return secret.New("any"), nil }

func (anyToken) Renew(context.Context, secret.String) (secret.String, error) {
	return secret.New("any"), nil
}
