package sync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// lookupLease is how long the lookups of a killed process wait for another.
const lookupLease = 20 * time.Second

// lookups reads assets singly, several at once, until ctx ends.
func (e *Engine) lookups(ctx context.Context) error {
	return e.claimLoop(ctx, e.bells.lookup, e.opts.LookupWorkers, claimer{
		claim: func(ctx context.Context, n int) ([]func(context.Context), error) {
			if !e.rulesKnown() {
				return nil, nil // what is read is planned, once
			}
			if n, _ = e.trouble.allow(n); n == 0 {
				return nil, nil
			}
			atomic, cancel := claiming(ctx)
			defer cancel()
			refused, _ := e.trouble.refused()
			claims, err := e.store.ClaimLookups(atomic, n, lookupLease, refused...)
			jobs := make([]func(context.Context), len(claims))
			for i, l := range claims {
				jobs[i] = func(ctx context.Context) { e.lookup(ctx, l) }
			}
			return jobs, err
		},
		next: func(ctx context.Context) (time.Duration, bool, error) {
			if !e.rulesKnown() {
				return 0, false, nil
			}
			refused, again := e.trouble.refused()
			due, any, err := e.store.NextLookup(ctx, refused...)
			if len(refused) > 0 && (!any || again < due) {
				due, any = again, true
			}
			if n, wait := e.trouble.allow(1); n == 0 {
				due = max(due, wait)
			}
			return due, any, err
		},
	})
}

// lookup reads one asset and writes what it found. Only the asset's own 404 is
// a removal.
func (e *Engine) lookup(ctx context.Context, l state.Lookup) {
	log := e.log.With().Str("asset_id", l.AssetID).Str("class", string(l.Class)).Int64("run_id", l.Observation.RunID).Logger()
	stop := e.holdLookup(ctx, l)
	err := e.readAsset(grant.WithClass(ctx, l.Class), l)
	stop()
	e.noteLookup(err)
	e.trouble.note(l.Class, err)
	if err == nil {
		log.Debug().Msg("asset read")
		return
	}
	// The context may have ended; the lookup must still be given back.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	class, after, counts := lookupRetry(ctx, l, err)
	if counts {
		log.Warn().Err(err).Str("error_class", class).Dur("retry_in_ms", after).Msg("asset cannot be read")
	}
	if err := e.store.FailLookup(back, l, class, err.Error(), after, counts); err != nil {
		log.Warn().Err(err).Msg("lookup cannot be given back; its lease will end")
	}
}

// holdLookup renews the lease while a reading waits for its grant or its answer.
// One that is lost all the same costs a second request and nothing else. The
// function returned waits for the renewal to end.
func (e *Engine) holdLookup(ctx context.Context, l state.Lookup) func() {
	return renewing(ctx, lookupLease/4, func(ctx context.Context) {
		if err := e.store.ExtendLookup(ctx, l, lookupLease); err != nil && ctx.Err() == nil {
			e.log.Debug().Err(err).Str("asset_id", l.AssetID).Msg("lease of a lookup cannot be renewed")
		}
	})
}

// noteLookup tells readiness of a login that fails; what concerns one asset is
// not the library's failure.
func (e *Engine) noteLookup(err error) {
	var deferred *grant.Deferred
	if err == nil || errors.Is(err, cmp.ErrAuth) || errors.As(err, &deferred) {
		e.noteLibrary(err)
	}
}

func (e *Engine) readAsset(ctx context.Context, l state.Lookup) error {
	readAt, err := e.clockedReading(ctx)
	if err != nil {
		return err
	}
	d, err := e.lib.Asset(ctx, cmp.Ref{ID: l.AssetID, Type: l.Type, Self: l.Self})
	switch {
	case errors.Is(err, cmp.ErrNotFound):
		return e.applyGone(ctx, l, readAt, l.Gone)
	case errors.Is(err, cmp.ErrBareNotFound):
		return e.applyGone(ctx, l, readAt, false)
	case err != nil:
		return err
	}
	e.urls.put(d.Asset.ID, d.URL)
	r := state.Reading{Asset: d.Asset, Detail: d.Detail, ReadAt: readAt, Settled: settled(d.Served, readAt, d.Asset.ModifiedAt)}
	if r.Fields, err = e.fieldsOf(ctx, l, r); err != nil {
		return err
	}
	var applied state.Applied
	err = e.withRules(func() (err error) {
		applied, err = e.store.ApplyReading(ctx, l, r, e.decide)
		return err
	})
	if applied.FolderUnknown {
		e.wantReferences(ctx)
	}
	return err
}

// applyGone marks an asset removed. Unless that is sure, because an event or the list said so
// and the API's own 404 confirms it, the list has to agree: an asset that it shows is not gone,
// whatever its detail says.
func (e *Engine) applyGone(ctx context.Context, l state.Lookup, readAt time.Time, sure bool) error {
	if !sure {
		listed, err := e.listed(ctx, l.AssetID)
		if err != nil {
			return fmt.Errorf("look for asset %s, whose detail is not found, in the list: %w", l.AssetID, err)
		}
		if listed {
			return fmt.Errorf("asset %s: %w", l.AssetID, errContradiction)
		}
	}
	return e.withRules(func() error { return e.store.ApplyGone(ctx, l, readAt, e.decide) })
}

// errContradiction is the class of an asset that the list shows and whose detail is not found.
var errContradiction = errors.New("the library lists it, but its detail is not found")

// listed tells whether the list shows an asset: where the mirror has it, or above what the last
// poll has seen, where an edit since would have moved it.
func (e *Engine) listed(ctx context.Context, id string) (bool, error) {
	_, known, err := e.store.KnownAssets(ctx, []string{id})
	if err != nil || len(known) == 0 || known[0].Gone {
		return false, err
	}
	polled, err := e.pollCursor(ctx)
	if err != nil {
		return false, err
	}
	at := known[0].Asset.ModifiedAt
	above := at
	if !polled.Newest.IsZero() {
		above = polled.Newest.Add(-overlap)
	}
	for _, q := range []cmp.AssetQuery{
		{ModifiedFrom: above},
		{ModifiedFrom: at.Add(-time.Second), ModifiedTo: at.Add(time.Second)}, // whether bounds are inclusive or not
	} {
		if shown, err := e.shows(ctx, q, id); shown || err != nil {
			return shown, err
		}
	}
	return false, nil
}

// shows tells whether a query lists an asset.
func (e *Engine) shows(ctx context.Context, q cmp.AssetQuery, id string) (bool, error) {
	for q.PageSize = pageSize; ; {
		page, err := e.lib.Assets(ctx, q)
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
		q.Offset += n
	}
}

// fieldsOf reads the fields when, knowing the detail, some rule still needs
// them.
func (e *Engine) fieldsOf(ctx context.Context, l state.Lookup, r state.Reading) (*library.Fields, error) {
	if !e.readsFields() {
		return nil, nil
	}
	folder, err := e.store.FolderPath(ctx, r.Asset.FolderID)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		folder = r.Asset.FileLocation
	}
	k := state.Known{Asset: r.Asset, Folder: folder, Detail: &r.Detail, SourceTask: l.SourceTask}
	if !e.needsFields(r.ReadAt, k) {
		return nil, nil
	}
	fields, err := e.lib.Fields(ctx, l.AssetID)
	if err != nil {
		return nil, err
	}
	return &fields, nil
}

// lookupRetry says when to try again, and whether the failure is the asset's own.
func lookupRetry(ctx context.Context, l state.Lookup, err error) (class string, after time.Duration, counts bool) {
	var deferred *grant.Deferred
	switch {
	case ctx.Err() != nil:
		return "", 0, false
	case errors.As(err, &deferred):
		return "deferred", spread(l.Class, untilDeferred(deferred)), false
	case errors.Is(err, state.ErrMirrored):
		return "", 0, false
	case errors.Is(err, cmp.ErrAuth):
		return "auth", retryDelay(3+l.Attempts, 5*time.Minute), false
	case errors.Is(err, cmp.ErrForbidden):
		return "forbidden", retryDelay(6+l.Attempts, time.Hour), true
	case errors.Is(err, errContradiction):
		return "contradiction", retryDelay(6+l.Attempts, state.LongestWait), true
	case errors.Is(err, cmp.ErrTemporary):
		return "temporary", retryDelay(l.Attempts, 5*time.Minute), true
	default:
		return "unknown", retryDelay(l.Attempts, 15*time.Minute), true
	}
}

// spread draws from d to five times d for bulk work, so that all of it that a spent quota defers does not
// come back at once, again and again.
func spread(class grant.Class, d time.Duration) time.Duration {
	if class == grant.Webhook || class == grant.Manual {
		return d
	}
	return d + rand.N(4*d)
}

// untilDeferred looks again now and then, in case the limit was raised.
func untilDeferred(d *grant.Deferred) time.Duration {
	return min(max(time.Until(d.Until), time.Second), time.Minute)
}

// retryDelay doubles from one second up to top, with jitter so that many
// failures do not come back at once.
func retryDelay(attempt int, top time.Duration) time.Duration {
	d := min(time.Second<<min(max(attempt-1, 0), 20), top)
	return d/2 + rand.N(d/2+1)
}
