package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/loop"
)

// lookupLease is how long the lookups of a killed process wait before another process takes them.
const lookupLease = 20 * time.Second

// errContradiction is the error class of an asset that the list shows and whose detail is not found.
var errContradiction = errors.New("the library lists it, but its detail is not found")

// LookupStore holds the lookups, which request that single assets be read.
type LookupStore interface {
	ClaimLookups(ctx context.Context, n int, lease time.Duration, except ...grant.Class) ([]state.Lookup, error)
	NextLookup(ctx context.Context, except ...grant.Class) (time.Duration, bool, error)
	ExtendLookup(ctx context.Context, l state.Lookup, lease time.Duration) error
	ApplyFetched(ctx context.Context, l state.Lookup, r state.Fetched, evaluate state.Evaluate) (state.Applied, error)
	ApplyGone(ctx context.Context, l state.Lookup, readAt time.Time, evaluate state.Evaluate) error
	FailLookup(ctx context.Context, l state.Lookup, f state.Failure, counts bool) error
	Snapshots(ctx context.Context, ids []string) (time.Time, []state.Snapshot, error)
	FolderPath(ctx context.Context, id string) (string, error)
}

// Lookups reads single assets. Its methods are safe for concurrent use.
type Lookups struct {
	*Mirror
	Queue    LookupStore
	Newest   func(context.Context) (time.Time, error) // see Poller.Newest
	Workers  int
	SlowPoll time.Duration
	Wakeup   loop.Wakeup
}

// Run reads the requested assets, several at once, until ctx ends. It always returns nil.
func (q *Lookups) Run(ctx context.Context) error {
	pool := loop.Pool{Claimer: q, Workers: q.Workers, Wakeup: q.Wakeup, SlowPoll: q.SlowPoll, Log: q.Log}
	return pool.Run(ctx)
}

// Claim implements loop.Claimer.
func (q *Lookups) Claim(ctx context.Context, n int) ([]func(context.Context), error) {
	if !q.Rules.Known() {
		return nil, nil
	}
	if n, _ = q.Source.Breaker.Allow(n); n == 0 {
		return nil, nil
	}
	claimCtx, cancel := loop.ClaimContext(ctx)
	defer cancel()
	deferred, _ := q.Source.Breaker.DeferredClasses()
	claims, err := q.Queue.ClaimLookups(claimCtx, n, lookupLease, deferred...)
	jobs := make([]func(context.Context), len(claims))
	for i, l := range claims {
		jobs[i] = func(ctx context.Context) { q.lookup(ctx, l) }
	}
	return jobs, err
}

// Next implements loop.Claimer.
func (q *Lookups) Next(ctx context.Context) (time.Duration, bool, error) {
	if !q.Rules.Known() {
		return 0, false, nil
	}
	deferred, again := q.Source.Breaker.DeferredClasses()
	due, waiting, err := q.Queue.NextLookup(ctx, deferred...)
	if len(deferred) > 0 && (!waiting || again < due) {
		due, waiting = again, true
	}
	if n, wait := q.Source.Breaker.Allow(1); n == 0 {
		due = max(due, wait)
	}
	return due, waiting, err
}

// Step reads the assets that are due, one after the other, for a caller that drives the engine by a clock of its own.
func (q *Lookups) Step(ctx context.Context) (time.Duration, error) {
	jobs, err := q.Claim(ctx, q.Workers)
	for _, job := range jobs {
		job(ctx)
	}
	if err != nil || len(jobs) > 0 {
		return 0, err
	}
	due, waiting, err := q.Next(ctx)
	if err != nil || !waiting {
		return q.SlowPoll, err
	}
	return min(due, q.SlowPoll), nil
}

// lookup reads one asset and writes the result. Only the asset's own 404 is a removal.
func (q *Lookups) lookup(ctx context.Context, l state.Lookup) {
	log := q.Log.With().Str("asset_id", l.AssetID).Str("class", string(l.Class)).Int64("run_id", l.Observation.RunID).Logger()
	stop := q.keepLease(ctx, l)
	err := q.readAsset(grant.WithClass(ctx, l.Class), l)
	stop()
	q.note(err)
	q.Source.Breaker.Note(l.Class, err)
	if err == nil {
		log.Debug().Msg("asset read")
		return
	}
	// The context may have ended; the lookup must still be given back.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	class, after, counts := lookupRetry(ctx, l, err)
	if counts {
		log.Warn().Err(err).Str("error_class", class).Dur("retry_in_ms", after).Msg("reading the asset failed")
	}
	if err := q.Queue.FailLookup(back, l, state.Failure{Class: class, Reason: err.Error(), After: after}, counts); err != nil {
		log.Warn().Err(err).Msg("giving the lookup back failed; its lease ends by itself")
	}
}

// keepLease renews the lease while a lookup waits for its grant or its answer. Losing the lease costs only a second
// request. The returned function waits for the last renewal.
func (q *Lookups) keepLease(ctx context.Context, l state.Lookup) func() {
	return loop.Renew(ctx, lookupLease/4, func(ctx context.Context) {
		if err := q.Queue.ExtendLookup(ctx, l, lookupLease); err != nil && ctx.Err() == nil {
			q.Log.Debug().Err(err).Str("asset_id", l.AssetID).Msg("renewing the lease of a lookup failed")
		}
	})
}

// note records a failing login or a refusal by the quota; a failure of one asset is not the library's.
func (q *Lookups) note(err error) {
	var deferred *grant.Deferred
	if err == nil || errors.Is(err, cmp.ErrAuth) || errors.As(err, &deferred) {
		q.Source.Note(err)
	}
}

func (q *Lookups) readAsset(ctx context.Context, l state.Lookup) error {
	readAt, err := q.readTime(ctx)
	if err != nil {
		return err
	}
	d, err := q.Source.Asset(ctx, cmp.Ref{ID: l.AssetID, Type: l.Type, Self: l.Self})
	switch {
	case errors.Is(err, cmp.ErrNotFound):
		return q.applyGone(ctx, l, readAt, l.Gone)
	case errors.Is(err, cmp.ErrBareNotFound):
		return q.applyGone(ctx, l, readAt, false)
	case err != nil:
		return err
	}
	q.Source.URLs.Put(d.Asset.ID, d.URL)
	r := state.Fetched{Asset: d.Asset, Detail: d.Detail, ReadAt: readAt, GraceOver: graceOver(d.Served, readAt, d.Asset.ModifiedAt)}
	if r.Fields, err = q.fieldsOf(ctx, l, r); err != nil {
		return err
	}
	var applied state.Applied
	err = q.Rules.Write(func() (err error) {
		applied, err = q.Queue.ApplyFetched(ctx, l, r, q.Rules.Evaluate)
		return err
	})
	if applied.FolderUnknown {
		q.References.Request(ctx)
	}
	return err
}

// fieldsOf reads the fields when a rule that knows the detail needs them.
func (q *Lookups) fieldsOf(ctx context.Context, l state.Lookup, r state.Fetched) (*library.Fields, error) {
	if !q.Rules.ReadsFields() {
		return nil, nil
	}
	folder, err := q.Queue.FolderPath(ctx, r.Asset.FolderID)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		folder = r.Asset.FileLocation
	}
	k := state.Snapshot{Asset: r.Asset, Folder: folder, Detail: &r.Detail, SourceTask: l.SourceTask}
	if q.Rules.Evaluate(r.ReadAt, k).Needs != library.LevelFields {
		return nil, nil
	}
	fields, err := q.Source.Fields(ctx, l.AssetID)
	if err != nil {
		return nil, err
	}
	return &fields, nil
}

// applyGone marks an asset removed. A removal is sure when an event or the list reported it and the API's own 404
// confirms it. Otherwise the list decides: an asset that it shows is not removed, even when its detail is not found.
func (q *Lookups) applyGone(ctx context.Context, l state.Lookup, readAt time.Time, sure bool) error {
	if !sure {
		listed, err := q.listed(ctx, l.AssetID)
		if err != nil {
			return fmt.Errorf("look in the list for asset %s, whose detail is not found: %w", l.AssetID, err)
		}
		if listed {
			return fmt.Errorf("asset %s: %w", l.AssetID, errContradiction)
		}
	}
	return q.Rules.Write(func() error { return q.Queue.ApplyGone(ctx, l, readAt, q.Rules.Evaluate) })
}

// listed reports whether the list shows an asset: at the mirror's modified_at, or above what the last poll has seen, where
// a later edit would have moved it.
func (q *Lookups) listed(ctx context.Context, id string) (bool, error) {
	_, known, err := q.Queue.Snapshots(ctx, []string{id})
	if err != nil || len(known) == 0 || known[0].Gone {
		return false, err
	}
	newest, err := q.Newest(ctx)
	if err != nil {
		return false, err
	}
	at := known[0].Asset.ModifiedAt
	above := at
	if !newest.IsZero() {
		above = newest.Add(-overlap)
	}
	for _, query := range []cmp.AssetQuery{
		{ModifiedFrom: above},
		{ModifiedFrom: at.Add(-time.Second), ModifiedTo: at.Add(time.Second)}, // whether bounds are inclusive or not
	} {
		if shown, err := q.shows(ctx, query, id); shown || err != nil {
			return shown, err
		}
	}
	return false, nil
}

// shows reports whether a query lists an asset.
func (q *Lookups) shows(ctx context.Context, query cmp.AssetQuery, id string) (bool, error) {
	for query.PageSize = pageSize; ; {
		page, err := q.Source.Assets(ctx, query)
		if err != nil {
			return false, err
		}
		is := func(it cmp.Item) bool { return it.ID == id }
		mayBe := func(row cmp.RowError) bool { return row.ID == id || row.ID == "" }
		if slices.ContainsFunc(page.Items, is) || slices.ContainsFunc(page.Bad, mayBe) {
			return true, nil
		}
		n := len(page.Items) + len(page.Bad)
		if !page.More || n == 0 {
			return false, nil
		}
		query.Offset += n
	}
}

// lookupRetry returns the error class, when to try again, and whether the failure is the asset's own.
func lookupRetry(ctx context.Context, l state.Lookup, err error) (class string, after time.Duration, counts bool) {
	var deferred *grant.Deferred
	switch {
	case ctx.Err() != nil:
		return "", 0, false
	case errors.As(err, &deferred):
		return "deferred", loop.Spread(l.Class, loop.UntilDeferred(deferred)), false
	case errors.Is(err, state.ErrMirrored):
		return "", 0, false
	case errors.Is(err, cmp.ErrAuth):
		return "auth", loop.RetryDelay(3+l.Attempts, 5*time.Minute), false
	case errors.Is(err, cmp.ErrForbidden):
		return "forbidden", loop.RetryDelay(6+l.Attempts, time.Hour), true
	case errors.Is(err, errContradiction):
		return "contradiction", loop.RetryDelay(6+l.Attempts, state.LongestWait), true
	case errors.Is(err, cmp.ErrTemporary):
		return "temporary", loop.RetryDelay(l.Attempts, 5*time.Minute), true
	default:
		return "unknown", loop.RetryDelay(l.Attempts, 15*time.Minute), true
	}
}
