package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/walk"
)

// overlap is read again by each poll: rows may become visible late.
const overlap = 300 * time.Second

// pollCursor is what a poll hands to the next.
type pollCursor struct {
	Newest time.Time `json:"newest"` // the highest modified_at seen, not later than the time it was seen; inclusive
	// Counts that differ on two polls ask for a sweep. Baseline is the
	// difference that a sweep has looked into and could not explain.
	Baseline  int       `json:"baseline"`
	Differing int       `json:"differing"` // polls in a row
	Since     time.Time `json:"since"`     // of the first of them, on the database's clock
	// What sweeps that counts asked for have cost on that day, in requests.
	Day   string `json:"day,omitempty"`
	Spent int    `json:"spent,omitempty"`
}

// Poll is the incremental observation: an unfiltered page of the newest assets is change
// feed and count of the whole library in one request. It reads further by key
// until it meets what the last poll saw, less an overlap. The first poll reads one page: what is
// below is left to the first sweep, which begins after it.
func (e *Engine) Poll(ctx context.Context) error {
	e.polling.Lock()
	defer e.polling.Unlock()
	ctx = grant.WithClass(ctx, grant.Incremental)
	if err := e.store.BeginObservation(ctx, kindIncremental); err != nil {
		return err
	}
	cursor, err := e.poll(ctx)
	e.noteLibrary(err)
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if failed := e.store.EndObservation(end, kindIncremental, nil, err.Error()); failed != nil {
			e.log.Warn().Err(failed).Msg("failure of the poll cannot be recorded")
		}
		return fmt.Errorf("poll: %w", err)
	}
	text, err := json.Marshal(cursor)
	if err != nil {
		return fmt.Errorf("encode poll cursor: %w", err)
	}
	return e.store.EndObservation(ctx, kindIncremental, text, "")
}

func (e *Engine) pollCursor(ctx context.Context) (pollCursor, error) {
	var cursor pollCursor
	last, err := e.store.Observation(ctx, kindIncremental)
	if err != nil || len(last.Cursor) == 0 {
		return cursor, err
	}
	if err := json.Unmarshal(last.Cursor, &cursor); err != nil {
		return cursor, fmt.Errorf("read poll cursor: %w", err)
	}
	return cursor, nil
}

func (e *Engine) poll(ctx context.Context) (pollCursor, error) {
	cursor, err := e.pollCursor(ctx)
	if err != nil {
		return cursor, err
	}
	total, newest, err := e.readNews(ctx, cursor.Newest)
	if err != nil {
		return cursor, err
	}
	if newest.After(cursor.Newest) {
		cursor.Newest = newest
	}
	if _, err := e.store.WantUnsettled(ctx, observed(grant.Incremental), settleTime); err != nil {
		return cursor, err
	}
	return e.compareCounts(ctx, cursor, total)
}

// readNews reads from the top down to since less the overlap; one page when since is zero.
func (e *Engine) readNews(ctx context.Context, since time.Time) (total int, newest time.Time, err error) {
	for n := (news{engine: e}); ; {
		first := !n.begun
		s, err := n.read(ctx)
		if err != nil {
			return 0, newest, err
		}
		if first {
			total = s.Total
			newest = newestOf(s, n.readAt)
			if since.IsZero() {
				since = newest.Add(overlap)
			}
		}
		if n.below(since.Add(-overlap)) {
			return total, newest, nil
		}
	}
}

// news reads the newest assets, from the top down, and lets what it shows answer the events that
// are held back.
type news struct {
	engine   *Engine
	cursor   walk.Cursor
	begun    bool
	ended    bool // the oldest asset was read
	readAt   time.Time
	answered state.Answered // by the last step
}

// below tells whether everything newer than t was read.
func (n *news) below(t time.Time) bool { return n.ended || n.begun && n.cursor.To.Before(t) }

// read takes the next step down.
func (n *news) read(ctx context.Context) (s walk.Span, err error) {
	e, obs := n.engine, observed(grant.Incremental)
	if n.readAt, err = e.clockedReading(ctx); err != nil {
		return s, err
	}
	s, next, err := (walk.Walker{Library: e.lib}).Step(ctx, n.cursor)
	if err != nil {
		return s, err
	}
	if !n.begun {
		if err := e.refuseEmpty(ctx, s); err != nil {
			return s, err
		}
	}
	applied, missing, err := e.applySpan(ctx, obs, n.readAt, s)
	if err != nil {
		return s, err
	}
	if applied.FolderUnknown {
		e.wantReferences(ctx)
	}
	if n.answered, err = e.answer(ctx, n.readAt, s, applied); err != nil {
		return s, err
	}
	n.begun, n.ended, n.cursor = true, s.End, next
	return s, e.store.WantLookups(ctx, obs, grant.Incremental, true, refs(missing))
}

// newestOf is the top of the library. A time in the future, which an asset may have, would
// hide every change until then.
func newestOf(s walk.Span, readAt time.Time) time.Time {
	if len(s.Items) == 0 {
		return time.Time{}
	}
	if top := s.Items[0].ModifiedAt; top.Before(readAt) {
		return top
	}
	return readAt
}

// compareCounts asks for a sweep when the library and the mirror count
// differently on two polls, once for each difference.
func (e *Engine) compareCounts(ctx context.Context, cursor pollCursor, total int) (pollCursor, error) {
	count, err := e.store.CountAssets(ctx)
	if err != nil || total < 0 {
		return cursor, err
	}
	difference := total - count
	if difference == 0 {
		cursor.Baseline = 0
	}
	if difference == cursor.Baseline {
		cursor.Differing = 0
		return cursor, nil
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return cursor, err
	}
	if cursor.Differing == 0 {
		cursor.Since = now
	}
	cursor.Differing++
	if cursor.Differing < 2 {
		return cursor, nil
	}
	backlog, err := e.store.Backlog(ctx, nil, now)
	if err != nil || backlog.Lookups > 0 {
		return cursor, err // what is being read may explain it
	}
	return e.explainDifference(ctx, cursor, total, difference, now)
}

// explainDifference looks what a sweep has said since the counts differ, and asks for one when none has
// been tried.
func (e *Engine) explainDifference(ctx context.Context, cursor pollCursor, total, difference int, now time.Time) (pollCursor, error) {
	swept, err := e.store.Observation(ctx, kindSweep)
	if err != nil {
		return cursor, err
	}
	day, cost := now.UTC().Format(time.DateOnly), total/97+1
	if cursor.Day != day {
		cursor.Day, cursor.Spent = day, 0
	}
	switch {
	case swept.LastSuccess.After(cursor.Since):
		e.log.Warn().Int("difference", difference).Msg("the library counts other than it lists; the difference is taken as given")
		cursor.Baseline, cursor.Differing = difference, 0
	case swept.LastAttempt.After(cursor.Since):
		// One is under way, or has failed: then its schedule decides.
	case e.sweepAffordable(cursor.Spent + cost):
		e.log.Info().Int("library", total).Int("difference", difference).Msg("counts differ; the whole library is read")
		cursor.Spent += cost
		e.askSweep()
	case cursor.Differing == 2:
		e.log.Warn().Int("library", total).Int("difference", difference).Msg("counts differ; the next scheduled sweep or damsync resync will find out")
	}
	return cursor, nil
}

// sweepAffordable lets counts that differ start sweeps by themselves while these cost at
// most one percent of the month's requests a day.
func (e *Engine) sweepAffordable(requests int) bool {
	return e.opts.MonthLimit <= 0 || int64(requests) <= max(e.opts.MonthLimit/100, 20)
}
