package sync

import (
	"context"
	"errors"
	"slices"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/walk"
)

const (
	// burstQuiet without a further event ends the wait for more of a burst.
	burstQuiet = 300 * time.Millisecond
	// burstMargin before the first event of a burst would be read singly, the poll begins.
	burstMargin = 250 * time.Millisecond
	// burstGap is how long after looking for a burst nobody looks again: every event wakes the look.
	burstGap = 50 * time.Millisecond
	// A poll keeps what it may answer from being read singly for a while and, in case it
	// dies, no longer than that.
	burstHold, burstHoldPage = 5 * time.Second, 300 * time.Millisecond
)

// bursts polls when many assets were reported at once: a page answers a hundred events for one
// request. What it does not answer, and everything when nobody leads or the poll
// fails, is read singly.
func (e *Engine) bursts(ctx context.Context) error {
	var last time.Time
	return e.onLeader(ctx, e.bells.burst, "poll for a burst of events", func(ctx context.Context) (time.Duration, error) {
		if rest := burstGap - time.Since(last); rest > 0 {
			return rest, nil
		}
		wait, err := e.burstStep(ctx)
		last = time.Now()
		return wait, err
	})
}

func (e *Engine) burstStep(ctx context.Context) (time.Duration, error) {
	if !e.rulesKnown() {
		return e.opts.SlowPoll, nil
	}
	b, err := e.store.HeldBack(ctx)
	if err != nil || b.Lookups <= state.Handful {
		return e.opts.SlowPoll, err
	}
	if wait := burstWait(b); wait > 0 {
		return wait, nil
	}
	cursor, err := e.pollCursor(ctx)
	if err != nil || cursor.Newest.IsZero() {
		return e.opts.SlowPoll, err // the first poll comes first
	}
	// A page that answers events is as urgent as they are: behind single readings it would come too late.
	err = e.pollBurst(grant.WithClass(ctx, grant.Webhook), cursor.Newest)
	e.noteLibrary(err)
	var deferred *grant.Deferred
	if errors.As(err, &deferred) {
		return untilDeferred(deferred), nil
	}
	return 0, err
}

// burstWait is how long a burst is left to grow.
func burstWait(b state.Burst) time.Duration {
	return min(burstQuiet-b.Newest, state.HoldBack-burstMargin-b.Oldest)
}

// pollBurst reads the newest assets until every event that waited is answered, or none is
// likely to be: it goes no deeper than the last poll, and gives up when it has read
// as many pages in vain as there are assets left to read. The cursor of the poll stays: its overlap is
// for the poll by schedule.
func (e *Engine) pollBurst(ctx context.Context, since time.Time) error {
	asked, err := e.clockedReading(ctx)
	if err != nil {
		return err
	}
	backlog, err := e.store.HeldBack(ctx)
	if err != nil {
		return err
	}
	hold, held := burstHold+time.Duration(backlog.Lookups/pageSize)*burstHoldPage, time.Now()
	left, err := e.store.HoldLookups(ctx, asked, hold)
	if err != nil {
		return err
	}
	defer e.releaseBurst(ctx, asked)
	n, requests, settled := news{engine: e, step: e.byOffset()}, 0, 0
	for vain := 0; left > 0 && vain < left && !n.below(since.Add(-overlap)); {
		s, err := n.read(ctx)
		if err != nil {
			return err
		}
		requests += s.Requests
		settled += n.answered.Settled
		left -= n.answered.Settled + n.answered.Deeper
		if vain++; n.answered.Any() {
			vain = 0
		}
		if vain == 0 && time.Since(held) > hold/2 { // slow, and worth it all the same
			held = time.Now()
			if _, err := e.store.HoldLookups(ctx, asked, hold); err != nil {
				return err
			}
		}
	}
	e.log.Info().Int("requests", requests).Int("settled", settled).Int("not_shown", max(left, 0)).Msg("burst of events polled")
	return nil
}

// byOffset reads page after page. Rows that shift meanwhile may be passed over, which costs a burst a
// reading or waits for the poll by schedule; seconds that hold more than a page cost nothing more.
func (e *Engine) byOffset() func(context.Context, walk.Cursor) (walk.Span, walk.Cursor, error) {
	offset := 0
	return func(ctx context.Context, c walk.Cursor) (walk.Span, walk.Cursor, error) {
		page, err := e.lib.Assets(ctx, cmp.AssetQuery{PageSize: pageSize, Offset: offset})
		if err != nil {
			return walk.Span{}, c, err
		}
		rows := len(page.Items) + len(page.Bad)
		offset += rows
		if len(page.Items) > 0 {
			c.To = page.Items[len(page.Items)-1].ModifiedAt
		}
		return walk.Span{Items: page.Items, Bad: page.Bad, Total: page.Total, Requests: 1, End: !page.More || rows == 0}, c, nil
	}
}

// releaseBurst lets what the poll did not answer be read singly, however it ended.
func (e *Engine) releaseBurst(ctx context.Context, asked time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := e.store.ReleaseLookups(ctx, asked); err != nil {
		e.log.Warn().Err(err).Msg("assets that were held back cannot be released; time will")
	}
}

// answer lets what a span shows answer events.
func (e *Engine) answer(ctx context.Context, readAt time.Time, s walk.Span, applied state.Applied) (answered state.Answered, err error) {
	shown := make([]string, 0, len(s.Items))
	for _, it := range s.Items {
		if !refused(applied, it) {
			shown = append(shown, it.ID)
		}
	}
	err = e.withRules(func() (err error) {
		answered, err = e.store.AnswerLookups(ctx, readAt, shown, e.decide)
		return err
	})
	return answered, err
}

// refused tells whether the database did not take the row of an asset.
func refused(applied state.Applied, it cmp.Item) bool {
	return slices.ContainsFunc(applied.Failed, func(row state.RowError) bool { return row.AssetID == it.ID })
}
