package observe

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/rules"
)

// Budget returns what a class of requests may spend; *store.Ledger is one.
type Budget interface {
	Allowance(ctx context.Context, class grant.Class) (grant.Allowance, error)
}

// DetailStore returns when details and fields were read, and requests lookups.
type DetailStore interface {
	Now(ctx context.Context) (time.Time, error)
	Waiting(ctx context.Context) (state.Waiting, error)
	Backfill(ctx context.Context) (state.Backfill, error)
	LastReads(ctx context.Context, after state.LastRead, age time.Duration, limit int) ([]state.LastRead, error)
	Snapshots(ctx context.Context, ids []string) (time.Time, []state.Snapshot, error)
	SetTargetLevels(ctx context.Context, targets, levels []string) error
	RequestLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error
}

// Refresher keeps details and fields from growing old, and logs how far the backfill of missing ones got. It is for one
// goroutine.
type Refresher struct {
	Details DetailStore
	Budget  Budget
	Rules   *rules.Set
	Log     zerolog.Logger

	after  state.LastRead // position of the pass; after a restart it begins at the oldest again
	logged time.Time      // the last message about the backfill; zero when none is due
}

const (
	// refreshAge is how old a detail may get before it is read again.
	refreshAge = 24 * time.Hour
	// refreshEvery is how often a few more are requested; at most refreshMost are open at once.
	refreshEvery, refreshMost = time.Minute, 100
	// refreshScan is how many details are examined at a time for those that a rule needs.
	refreshScan = 1000
	// refreshShare divides the spare requests of a day; the rest is left to other classes.
	refreshShare = 2
	// backfillLogInterval limits progress logging; backfills smaller than minLoggedBackfill are not logged.
	backfillLogInterval = 5 * time.Minute
	minLoggedBackfill   = 100
)

// Step requests details and fields again, oldest first, within the spare quota of the month: they may change without
// a change of modified_at, and nothing else would find that. Details that were never read go first.
func (r *Refresher) Step(ctx context.Context) (time.Duration, error) {
	if !r.Rules.Known() {
		return loop.ScheduleCheck, nil
	}
	if err := r.recordLevels(ctx); err != nil {
		return refreshEvery, err
	}
	waiting, err := r.Details.Waiting(ctx)
	if err == nil {
		err = r.logBackfill(ctx, waiting.Backfill)
	}
	if err != nil || waiting.Backfill > 0 {
		return refreshEvery, err
	}
	allowance, err := r.Budget.Allowance(ctx, grant.Backfill)
	if err != nil {
		return refreshEvery, err
	}
	now, err := r.Details.Now(ctx)
	if err != nil {
		return refreshEvery, err
	}
	n, wait := refreshRoom(allowance, now, r.requestsPerAsset())
	n = min(n, refreshMost-int(waiting.Refresh))
	if n <= 0 {
		return wait, nil
	}
	return wait, r.refresh(ctx, n)
}

// logBackfill logs from time to time how far a backfill of more than a few assets got, and once when it is complete.
func (r *Refresher) logBackfill(ctx context.Context, left int64) error {
	switch {
	case left == 0 && !r.logged.IsZero():
		r.Log.Info().Msg("backfill complete: all details that rules need are read")
		r.logged = time.Time{}
		return nil
	case left < minLoggedBackfill, time.Since(r.logged) < backfillLogInterval:
		return nil
	}
	b, err := r.Details.Backfill(ctx)
	if err != nil {
		return err
	}
	r.logged = time.Now()
	r.Log.Info().Int64("done", b.Done).Int64("left", b.Left).Float64("per_minute", b.PerMinute).Msg("backfill is reading details")
	return nil
}

// refreshRoom spreads a share of the day's spare requests over the rest of the day. It returns how many assets may be
// read again now, and when to ask again.
func refreshRoom(a grant.Allowance, now time.Time, perAsset int64) (int, time.Duration) {
	assets := min(a.Spare, a.Today) / refreshShare / perAsset
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

// requestsPerAsset returns the most requests that a lookup costs.
func (r *Refresher) requestsPerAsset() int64 {
	if r.Rules.ReadsFields() {
		return 2
	}
	return 1
}

// refresh requests up to n of the details that a rule needs, the longest unread first. At the end of a pass over all of
// them it starts again.
func (r *Refresher) refresh(ctx context.Context, n int) error {
	last, err := r.Details.LastReads(ctx, r.after, refreshAge, refreshScan)
	if err != nil {
		return err
	}
	if len(last) == 0 {
		r.after = state.LastRead{}
		return nil
	}
	needed, err := r.needed(ctx, last)
	if err != nil {
		return err
	}
	var refs []state.Ref
	for _, read := range last {
		if ref, is := needed[read.AssetID]; is {
			refs = append(refs, ref)
		}
		if r.after = read; len(refs) == n {
			break
		}
	}
	return r.Details.RequestLookups(ctx, state.Observation{Kind: state.KindRefresh, Class: grant.Backfill}, grant.Backfill, false, refs)
}

// needed returns the assets whose details a rule needs.
func (r *Refresher) needed(ctx context.Context, last []state.LastRead) (map[string]state.Ref, error) {
	ids := make([]string, len(last))
	for i, read := range last {
		ids[i] = read.AssetID
	}
	now, known, err := r.Details.Snapshots(ctx, ids)
	if err != nil {
		return nil, err
	}
	needed := map[string]state.Ref{}
	for _, k := range known {
		k.Detail, k.Fields = nil, nil
		if !k.Gone && r.Rules.Evaluate(now, k).Needs > library.LevelSummary {
			needed[k.Asset.ID] = state.Ref{ID: k.Asset.ID, Type: k.Asset.Type, Self: k.Asset.Self}
		}
	}
	return needed, nil
}

// recordLevels records the level of each rule for the reports.
func (r *Refresher) recordLevels(ctx context.Context) error {
	var targets, levels []string
	for _, rule := range r.Rules.InForce() {
		targets, levels = append(targets, rule.Name()), append(levels, rule.Level().String())
	}
	return r.Details.SetTargetLevels(ctx, targets, levels)
}
