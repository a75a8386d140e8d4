package sync

import (
	"context"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// Budget tells what a class may spend; *store.Ledger is one.
type Budget interface {
	Allowance(ctx context.Context, class grant.Class) (grant.Allowance, error)
}

// DepthStore knows what was read of assets beyond their summaries, and when.
type DepthStore interface {
	Waiting(ctx context.Context) (state.Waiting, error)
	LastReadings(ctx context.Context, after state.LastReading, age time.Duration, limit int) ([]state.LastReading, error)
	SetTargetLevels(ctx context.Context, targets, levels []string) error
	NoteFirstLight(ctx context.Context, left int64) (state.FirstLight, error)
	ExpectFirstLight(ctx context.Context, end time.Time) error
	EndFirstLight(ctx context.Context) (bool, error)
}

const (
	// refreshAge is how old a reading is before it is repeated.
	refreshAge = 24 * time.Hour
	// refreshEvery is how often the refresh asks for a few more; refreshMost may be asked for at once.
	refreshEvery, refreshMost = time.Minute, 100
	// refreshScan is how many readings are looked at for those that a rule relies on.
	refreshScan = 1000
	// refreshShare of what a day has to spare is left to others.
	refreshShare = 2
)

// refreshing reads details and fields again, oldest first, within what the month has to spare: they may
// change without modified_at moving, and nothing else would notice.
func (e *Engine) refreshing(ctx context.Context) error {
	var after state.LastReading // where the pass stands; one that is lost begins at the oldest again
	return e.onLeader(ctx, newBell(), "refresh details", func(ctx context.Context) (time.Duration, error) {
		return e.refreshStep(ctx, &after)
	})
}

func (e *Engine) refreshStep(ctx context.Context, after *state.LastReading) (time.Duration, error) {
	if !e.rulesKnown() {
		return leaderCheck, nil
	}
	if err := e.noteLevels(ctx); err != nil {
		return refreshEvery, err
	}
	waiting, err := e.opts.Depth.Waiting(ctx)
	if err != nil || waiting.Backfill > 0 || e.opts.Budget == nil {
		return refreshEvery, err // what was never read goes first
	}
	allowance, err := e.opts.Budget.Allowance(ctx, grant.Backfill)
	if err != nil {
		return refreshEvery, err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return refreshEvery, err
	}
	n, wait := refreshRoom(allowance, now, e.requestsPerAsset())
	n = min(n, refreshMost-int(waiting.Refresh))
	if n <= 0 {
		return wait, nil
	}
	return wait, e.refresh(ctx, after, n)
}

// refreshRoom spreads a share of what the day has to spare over the rest of it: how many assets may be
// read again now, and when to ask again.
func refreshRoom(a grant.Allowance, now time.Time, perAsset int64) (int, time.Duration) {
	assets := min(a.Surplus, a.Today) / refreshShare / perAsset
	if a.Deferred != nil || assets <= 0 {
		return 0, refreshEvery
	}
	rest := min(max(a.Until.Sub(now), refreshEvery), 24*time.Hour)
	every := rest / time.Duration(assets)
	if every > refreshEvery {
		return 1, min(every, time.Hour)
	}
	return int(refreshEvery / max(every, time.Millisecond)), refreshEvery
}

// requestsPerAsset is what reading an asset in depth costs at most.
func (e *Engine) requestsPerAsset() int64 {
	if e.readsFields() {
		return 2
	}
	return 1
}

// refresh asks for up to n of the readings that are oldest after the pass's place and that a rule
// relies on. At the end of a pass it begins anew.
func (e *Engine) refresh(ctx context.Context, after *state.LastReading, n int) error {
	readings, err := e.opts.Depth.LastReadings(ctx, *after, refreshAge, refreshScan)
	if err != nil {
		return err
	}
	if len(readings) == 0 {
		*after = state.LastReading{}
		return nil
	}
	needed, err := e.needed(ctx, readings)
	if err != nil {
		return err
	}
	var wanted []state.Ref
	for _, r := range readings {
		if ref, is := needed[r.AssetID]; is {
			wanted = append(wanted, ref)
		}
		if *after = r; len(wanted) == n {
			break
		}
	}
	return e.store.WantLookups(ctx, state.Observation{Kind: state.KindRefresh}, grant.Backfill, false, wanted)
}

// needed are those of readings without which a rule could not decide.
func (e *Engine) needed(ctx context.Context, readings []state.LastReading) (map[string]state.Ref, error) {
	ids := make([]string, len(readings))
	for i, r := range readings {
		ids[i] = r.AssetID
	}
	now, known, err := e.store.KnownAssets(ctx, ids)
	if err != nil {
		return nil, err
	}
	needed := map[string]state.Ref{}
	for _, k := range known {
		k.Detail, k.Fields = nil, nil
		if !k.Gone && e.decide(now, k).Needs > library.LevelSummary {
			needed[k.Asset.ID] = state.Ref{ID: k.Asset.ID, Type: k.Asset.Type, Self: k.Asset.Self}
		}
	}
	return needed, nil
}

// noteLevels records how deep each rule reads, for the reports.
func (e *Engine) noteLevels(ctx context.Context) error {
	var targets, levels []string
	for _, rule := range e.rules() {
		targets, levels = append(targets, rule.Name()), append(levels, rule.Level().String())
	}
	return e.opts.Depth.SetTargetLevels(ctx, targets, levels)
}
