package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/cadence"
	"damsync/sync/walk"
)

// overlap is read again by each poll: rows may become visible late.
const overlap = 300 * time.Second

// pollCursor is what a poll hands to the next.
type pollCursor struct {
	Newest time.Time `json:"newest"` // the highest modified_at seen, not later than the time it was seen; inclusive
	counts
	// How often to look, by what webhooks have told.
	Cadence cadence.State `json:"cadence,omitzero"`
}

// Poll is the incremental observation: an unfiltered page of the newest assets is change
// feed and count of the whole library in one request. It reads further by key
// until it meets what the last poll saw, less an overlap. The first poll reads one page: what is
// below is left to the first sweep, which begins after it.
func (e *Engine) Poll(ctx context.Context) error {
	ctx = grant.WithClass(ctx, grant.Incremental)
	if err := e.store.BeginObservation(ctx, state.KindIncremental); err != nil {
		return err
	}
	cursor, err := e.poll(ctx)
	e.noteLibrary(err)
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if failed := e.store.EndObservation(end, state.KindIncremental, nil, err.Error()); failed != nil {
			e.log.Warn().Err(failed).Msg("failure of the poll cannot be recorded")
		}
		return fmt.Errorf("poll: %w", err)
	}
	text, err := json.Marshal(cursor)
	if err != nil {
		return fmt.Errorf("encode poll cursor: %w", err)
	}
	return e.store.EndObservation(ctx, state.KindIncremental, text, "")
}

func (e *Engine) pollCursor(ctx context.Context) (pollCursor, error) {
	var cursor pollCursor
	last, err := e.store.Observation(ctx, state.KindIncremental)
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
	if _, err := e.store.WantUnsettled(ctx, state.Observation{Kind: state.KindIncremental}, settleTime); err != nil {
		return cursor, err
	}
	if cursor.Cadence, err = e.judgeCadence(ctx, cursor.Cadence); err != nil {
		return cursor, err
	}
	return e.compareCounts(ctx, cursor, total)
}

// readNews reads from the top down to since less the overlap; one page when since is zero.
func (e *Engine) readNews(ctx context.Context, since time.Time) (total int, newest time.Time, err error) {
	for n := (news{engine: e, step: walk.Walker{Library: e.lib}.Step}); ; {
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
	step     func(context.Context, walk.Cursor) (walk.Span, walk.Cursor, error)
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
	e, obs := n.engine, state.Observation{Kind: state.KindIncremental}
	if n.readAt, err = e.clockedReading(ctx); err != nil {
		return s, err
	}
	s, next, err := n.step(ctx, n.cursor)
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
