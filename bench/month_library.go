package main

import (
	"context"
	"fmt"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/sync"
	"damsync/sync/audit/audittest"
)

// monthLibrary is the API: each request takes its grant and its time, in which editors go on. The
// methods of sync.Library that it lacks are not used.
type monthLibrary struct {
	sync.Library
	world  *monthWorld
	ledger *monthLedger
	gone   map[grant.Class]int64 // details asked for that are not found
}

// request takes a grant and lets half of the latency pass: the answer is of that moment.
func (l *monthLibrary) request(ctx context.Context) error {
	if deferred := l.ledger.take(grant.ClassOf(ctx), l.world.now); deferred != nil {
		return deferred
	}
	l.world.reach(l.world.now + latency/2)
	return nil
}

// answered lets the rest pass.
func (l *monthLibrary) answered() { l.world.reach(l.world.now + latency/2) }

func (l *monthLibrary) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if err := l.request(ctx); err != nil {
		return cmp.AssetPage{}, err
	}
	defer l.answered()
	page, err := l.world.lib.Assets(ctx, q)
	page.Requested, page.Served = l.world.time(), l.world.time().Truncate(time.Second)
	return page, err
}

func (l *monthLibrary) Asset(ctx context.Context, ref cmp.Ref) (cmp.AssetDetail, error) {
	if err := l.request(ctx); err != nil {
		return cmp.AssetDetail{}, err
	}
	defer l.answered()
	place := audittest.Place(ref.ID)
	if !l.world.lib.Alive(place) {
		l.gone[grant.ClassOf(ctx)]++
		return cmp.AssetDetail{}, fmt.Errorf("read asset %s: %w", ref.ID, cmp.ErrNotFound)
	}
	a := library.Asset{ID: ref.ID, Type: ref.Type, ModifiedAt: audittest.Epoch().Add(time.Duration(l.world.modified[place]) * time.Second)}
	return cmp.AssetDetail{Asset: a, Served: l.world.time().Truncate(time.Second)}, nil
}

func (l *monthLibrary) Folders(context.Context) ([]library.Folder, error) { return nil, nil }

func (l *monthLibrary) LabelGroups(context.Context) ([]library.LabelGroup, error) { return nil, nil }
