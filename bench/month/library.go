package main

import (
	"context"
	"fmt"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/sync/audit/audittest"
	"damsync/sync/source"
)

// countedLibrary is the API: each request is counted and takes its time, in which editors go on.
// No class is deferred: what the ledger does near the end of a month is measured by bench/quota.
type countedLibrary struct {
	source.Library // nil: observing does not use its other methods
	world          *world
	sent           []time.Duration // times of requests
	byClass        map[grant.Class]int
	gone           map[grant.Class]int // requests for details of assets that were gone
}

// request counts a request and lets half of the latency pass: the answer is of that moment.
func (l *countedLibrary) request(ctx context.Context) {
	l.sent = append(l.sent, l.world.now)
	l.byClass[grant.ClassOf(ctx)]++
	l.world.reach(l.world.now + latency/2)
}

// received lets the rest of the latency pass.
func (l *countedLibrary) received() { l.world.reach(l.world.now + latency/2) }

func (l *countedLibrary) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	l.request(ctx)
	defer l.received()
	page, err := l.world.lib.Assets(ctx, q)
	page.Requested, page.Served = l.world.time(), l.world.time().Truncate(time.Second)
	return page, err
}

func (l *countedLibrary) Asset(ctx context.Context, ref cmp.Ref) (cmp.AssetDetail, error) {
	l.request(ctx)
	defer l.received()
	place := audittest.Place(ref.ID)
	if !l.world.lib.Alive(place) {
		l.gone[grant.ClassOf(ctx)]++
		return cmp.AssetDetail{}, fmt.Errorf("read asset %s: %w", ref.ID, cmp.ErrNotFound)
	}
	return cmp.AssetDetail{Asset: l.world.lib.Row(place), Served: l.world.time().Truncate(time.Second)}, nil
}

// abovePace counts the requests that exceed perSecond within any second.
func (l *countedLibrary) abovePace(perSecond int) (n int) {
	for i := perSecond; i < len(l.sent); i++ {
		if l.sent[i]-l.sent[i-perSecond] < time.Second {
			n++
		}
	}
	return n
}
