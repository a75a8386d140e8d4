package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/source"
	"damsync/sync/walk"
)

// PollStore is what the poll needs besides the mirror.
type PollStore interface {
	ObservationStore
	CountOpenLookups(ctx context.Context, most int) (int, error)
}

// Poller is the incremental observation: an unfiltered page of the newest assets is the change feed and a count of the
// whole library in one request. Its methods are safe for concurrent use.
type Poller struct {
	*Mirror
	Polls        PollStore
	RequestAudit func()      // called when counts differ
	Uncountable  func() bool // whether the last audit found that counts prove nothing
	Wakeup       loop.Wakeup
}

// pollCursor is what a poll stores for the next one.
type pollCursor struct {
	Newest time.Time `json:"newest"` // the highest modified_at seen, at most the time of reading
	counts
}

// Step polls when the schedule says so, and soon after counts differed for the first time.
func (p *Poller) Step(s cron.Schedule) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		if !p.Rules.Known() {
			return loop.ScheduleCheck, nil
		}
		cursor, err := p.cursor(ctx)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		o := loop.Observation{Kind: state.KindIncremental, Schedule: s, Store: p.Polls}
		if s != nil && cursor.Differing == 1 {
			o.Schedule = recounting{s}
		}
		return o.Run(ctx, false, p.Poll)
	}
}

// recount is how long after counts that differ the next poll compares them again. By then the events that explain
// the difference have usually arrived.
const recount = 30 * time.Second

// recounting is a schedule whose next time is at most recount away.
type recounting struct{ cron.Schedule }

// Next implements cron.Schedule.
func (r recounting) Next(t time.Time) time.Time {
	soon, next := t.Add(recount), r.Schedule.Next(t)
	if next.IsZero() || soon.Before(next) {
		return soon
	}
	return next
}

// Poll reads the newest assets, and further by key down to what the last poll saw, less an overlap. The first poll
// reads one page: the first sweep, which begins after it, reads the rest.
func (p *Poller) Poll(ctx context.Context) error {
	ctx = grant.WithClass(ctx, grant.Incremental)
	if err := p.Polls.BeginObservation(ctx, state.KindIncremental); err != nil {
		return err
	}
	cursor, err := p.poll(ctx)
	p.Source.Note(err)
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if failed := p.Polls.EndObservation(end, state.KindIncremental, nil, err.Error()); failed != nil {
			p.Log.Warn().Err(failed).Msg("recording the failed poll failed")
		}
		return fmt.Errorf("poll: %w", err)
	}
	text, err := json.Marshal(cursor)
	if err != nil {
		return fmt.Errorf("encode poll cursor: %w", err)
	}
	return p.Polls.EndObservation(ctx, state.KindIncremental, text, "")
}

// Newest returns the highest modified_at that a poll has seen; zero before the first poll.
func (p *Poller) Newest(ctx context.Context) (time.Time, error) {
	cursor, err := p.cursor(ctx)
	return cursor.Newest, err
}

func (p *Poller) cursor(ctx context.Context) (pollCursor, error) {
	var cursor pollCursor
	last, err := p.Polls.Observation(ctx, state.KindIncremental)
	if err != nil || len(last.Cursor) == 0 {
		return cursor, err
	}
	if err := json.Unmarshal(last.Cursor, &cursor); err != nil {
		return cursor, fmt.Errorf("read poll cursor: %w", err)
	}
	return cursor, nil
}

func (p *Poller) poll(ctx context.Context) (pollCursor, error) {
	cursor, err := p.cursor(ctx)
	if err != nil {
		return cursor, err
	}
	total, newest, err := p.readFeed(ctx, cursor.Newest)
	if err != nil {
		return cursor, err
	}
	if newest.After(cursor.Newest) {
		cursor.Newest = newest
	}
	if _, err := p.Store.RequestWithinGrace(ctx, incremental(), source.Grace); err != nil {
		return cursor, err
	}
	return p.compareCounts(ctx, cursor, total)
}

// readFeed reads from the top down to since less the overlap; one page when since is zero.
func (p *Poller) readFeed(ctx context.Context, since time.Time) (total int, newest time.Time, err error) {
	for f := (feed{mirror: p.Mirror, step: walk.Walker{Library: p.Source}.Step}); ; {
		first := !f.begun
		s, err := f.read(ctx)
		if err != nil {
			return 0, newest, err
		}
		if first {
			total = s.Total
			newest = newestOf(s, f.readAt)
			if since.IsZero() {
				since = newest.Add(overlap)
			}
		}
		if f.below(since.Add(-overlap)) {
			return total, newest, nil
		}
	}
}

func incremental() state.Observation {
	return state.Observation{Kind: state.KindIncremental, Class: grant.Incremental}
}

// feed reads the newest assets from the top down and lets them answer the events that are held back.
type feed struct {
	mirror   *Mirror
	step     func(context.Context, walk.Cursor) (walk.Span, walk.Cursor, error)
	cursor   walk.Cursor
	begun    bool
	ended    bool // the oldest asset was read
	readAt   time.Time
	answered state.Answered // by the last step
}

// below reports whether everything newer than t was read.
func (f *feed) below(t time.Time) bool { return f.ended || f.begun && f.cursor.To.Before(t) }

// read takes the next step down.
func (f *feed) read(ctx context.Context) (s walk.Span, err error) {
	m := f.mirror
	if f.readAt, err = m.readTime(ctx); err != nil {
		return s, err
	}
	s, next, err := f.step(ctx, f.cursor)
	if err != nil {
		return s, err
	}
	if !f.begun {
		if err := m.refuseEmpty(ctx, s); err != nil {
			return s, err
		}
	}
	applied, missing, err := m.applySpan(ctx, incremental(), f.readAt, s)
	if err != nil {
		return s, err
	}
	if f.answered, err = m.answer(ctx, f.readAt, s.Items, applied); err != nil {
		return s, err
	}
	f.begun, f.ended, f.cursor = true, s.End, next
	return s, m.Store.RequestLookups(ctx, incremental(), grant.Incremental, true, refs(missing))
}

// newestOf returns the modified_at at the top of the library, or readAt when that lies in the future: such a time would
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
