package observe

import (
	"context"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/walk"
)

const (
	// burstQuiet is how long no further event must arrive for a burst to be complete.
	burstQuiet = 300 * time.Millisecond
	// burstMargin is how long before its first event would be looked up singly a burst is polled at the latest.
	burstMargin = 250 * time.Millisecond
	// burstGap is the least time between two calls of Look: every event signals one.
	burstGap = 50 * time.Millisecond
	// burstHold plus burstHoldPage for each page is how long lookups are held that a poll may answer. They become due
	// then when the process dies.
	burstHold, burstHoldPage = 5 * time.Second, 300 * time.Millisecond
)

// BurstStore holds back lookups that pages of the poll may answer.
type BurstStore interface {
	HeldBack(ctx context.Context) (state.Burst, error)
	HoldLookups(ctx context.Context, askedAt time.Time, d time.Duration) (int, error)
	ReleaseLookups(ctx context.Context, askedAt time.Time) error
}

// Bursts polls when events report many assets at once: a page answers a hundred events for one request. Events that
// it does not answer, and all of them when no process leads or the poll fails, are looked up singly.
type Bursts struct {
	*Mirror
	Poller   *Poller
	Lookups  BurstStore
	SlowPoll time.Duration
	Wakeup   loop.Wakeup

	last time.Time // when Look was last called
}

// Step calls Look, at most once within burstGap. It is for one goroutine.
func (b *Bursts) Step(ctx context.Context) (time.Duration, error) {
	if rest := burstGap - time.Since(b.last); rest > 0 {
		return rest, nil
	}
	wait, err := b.Look(ctx)
	b.last = time.Now()
	return wait, err
}

// Look looks for a burst and polls it once it stops growing.
func (b *Bursts) Look(ctx context.Context) (time.Duration, error) {
	if !b.Rules.Known() {
		return b.SlowPoll, nil
	}
	held, err := b.Lookups.HeldBack(ctx)
	if err != nil || held.Lookups <= state.Handful {
		return b.SlowPoll, err
	}
	if wait := min(burstQuiet-held.Newest, state.HoldBack-burstMargin-held.Oldest); wait > 0 {
		return wait, nil
	}
	newest, err := b.Poller.Newest(ctx)
	if err != nil || newest.IsZero() {
		return b.SlowPoll, err // the first poll comes first
	}
	// A page that answers events is as urgent as they are: behind single lookups it would come too late.
	err = b.poll(grant.WithClass(ctx, grant.Webhook), newest)
	b.Source.Note(err)
	return 0, err
}

// poll reads the newest assets until every held event is answered. It stops where the last poll began, or after as many
// consecutive pages without an answer as assets are left. It does not move the poll's cursor, whose overlap is for the
// scheduled poll.
func (b *Bursts) poll(ctx context.Context, since time.Time) error {
	began, err := b.readTime(ctx)
	if err != nil {
		return err
	}
	backlog, err := b.Lookups.HeldBack(ctx)
	if err != nil {
		return err
	}
	hold, held := burstHold+time.Duration(backlog.Lookups/pageSize)*burstHoldPage, time.Now()
	left, err := b.Lookups.HoldLookups(ctx, began, hold)
	if err != nil {
		return err
	}
	defer b.release(ctx, began)
	f, requests, finished := feed{mirror: b.Mirror, step: b.byOffset()}, 0, 0
	for unanswered := 0; left > 0 && unanswered < left && !f.below(since.Add(-overlap)); {
		s, err := f.read(ctx)
		if err != nil {
			return err
		}
		requests += s.Requests
		finished += f.answered.Finished
		left -= f.answered.Finished + f.answered.Deeper
		if unanswered++; f.answered.Any() {
			unanswered = 0
		}
		if unanswered == 0 && time.Since(held) > hold/2 { // slow, but pages still answer events
			held = time.Now()
			if _, err := b.Lookups.HoldLookups(ctx, began, hold); err != nil {
				return err
			}
		}
	}
	b.Log.Info().Int("requests", requests).Int("finished", finished).Int("not_shown", max(left, 0)).Msg("polled a burst of events")
	return nil
}

// byOffset reads page after page. A row that shifts meanwhile may be missed; it is looked up singly or waits for the
// scheduled poll. In return, seconds that hold more than a page cost nothing extra.
func (b *Bursts) byOffset() func(context.Context, walk.Cursor) (walk.Span, walk.Cursor, error) {
	offset := 0
	return func(ctx context.Context, c walk.Cursor) (walk.Span, walk.Cursor, error) {
		page, err := b.Source.Assets(ctx, cmp.AssetQuery{PageSize: pageSize, Offset: offset})
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

// release makes the lookups due that the poll did not answer.
func (b *Bursts) release(ctx context.Context, began time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := b.Lookups.ReleaseLookups(ctx, began); err != nil {
		b.Log.Warn().Err(err).Msg("releasing held lookups failed; they become due when the hold expires")
	}
}
