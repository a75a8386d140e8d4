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
	// burstQuiet without a further event ends the wait for more of a burst.
	burstQuiet = 300 * time.Millisecond
	// burstMargin is how long before the first event of a burst would be looked up singly the poll begins.
	burstMargin = 250 * time.Millisecond
	// burstGap is the least time between two looks for a burst: every event signals one.
	burstGap = 50 * time.Millisecond
	// burstHold, and burstHoldPage more for each page, is how long the lookups that a poll may answer are held.
	// When its process dies they become due then.
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

	last time.Time // the last look
}

// Step is Look with burstGap between two looks. It is for one goroutine.
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

// poll reads the newest assets until every held event is answered or none is likely to be: it goes no deeper than
// the last poll, and gives up after as many pages in vain as there are assets left. It leaves the poll's cursor
// alone, whose overlap is for the scheduled poll.
func (b *Bursts) poll(ctx context.Context, since time.Time) error {
	asked, err := b.readTime(ctx)
	if err != nil {
		return err
	}
	backlog, err := b.Lookups.HeldBack(ctx)
	if err != nil {
		return err
	}
	hold, held := burstHold+time.Duration(backlog.Lookups/pageSize)*burstHoldPage, time.Now()
	left, err := b.Lookups.HoldLookups(ctx, asked, hold)
	if err != nil {
		return err
	}
	defer b.release(ctx, asked)
	f, requests, finished := feed{mirror: b.Mirror, step: b.byOffset()}, 0, 0
	for vain := 0; left > 0 && vain < left && !f.below(since.Add(-overlap)); {
		s, err := f.read(ctx)
		if err != nil {
			return err
		}
		requests += s.Requests
		finished += f.answered.Finished
		left -= f.answered.Finished + f.answered.Deeper
		if vain++; f.answered.Any() {
			vain = 0
		}
		if vain == 0 && time.Since(held) > hold/2 { // slow, but worth it
			held = time.Now()
			if _, err := b.Lookups.HoldLookups(ctx, asked, hold); err != nil {
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

// release makes the lookups due that the poll did not answer, however it ended.
func (b *Bursts) release(ctx context.Context, asked time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := b.Lookups.ReleaseLookups(ctx, asked); err != nil {
		b.Log.Warn().Err(err).Msg("releasing held lookups failed; they become due when the hold expires")
	}
}
