package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/walk"
)

const (
	// staleSweep is the age from which an unfinished sweep is started again instead of resumed: it does not see
	// deletions above its cursor.
	staleSweep = 24 * time.Hour
	// maxUnstable is how often in a row a sweep is retried at a cursor with inconsistent answers before it starts
	// again.
	maxUnstable = 5
	// UncountableSweep is the schedule of sweeps for a library that cannot be audited by counting, where none
	// is configured.
	UncountableSweep = "0 3 * * 0"
)

// SweepOptions specifies a sweep.
type SweepOptions struct {
	Class       grant.Class
	RequestedBy string
	Progress    func(SweepProgress) // may be nil
	// AllSuspects looks up every asset that was not found, however many.
	AllSuspects bool
}

// SweepProgress is the progress of a sweep.
type SweepProgress struct {
	RunID    int64
	Total    int // assets by the library's count; -1 unknown
	Seen     int64
	Changed  int64
	Suspects int64
	Requests int64
	Done     bool
	Resumed  bool // it continued a run that another process left unfinished
}

// SweepStore is what sweeps need besides the mirror.
type SweepStore interface {
	ObservationStore
	RunStore
}

// Sweeper reads every summary of the library. Its methods are safe for concurrent use.
type Sweeper struct {
	*Mirror
	Runs        SweepStore
	Poller      *Poller
	MonthLimit  int64         // requests a month
	Uncountable func() bool   // whether the last audit found that counts prove nothing
	Fallback    cron.Schedule // see UncountableSweep
	Wakeup      loop.Wakeup

	unstable atomic.Int32 // failures in a row because of inconsistent answers
}

// Step sweeps when a sweep is due, when one is unfinished, and when the mirror was never filled. An uncountable library is
// swept by Fallback when no schedule is configured.
func (w *Sweeper) Step(s cron.Schedule) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		if !w.Rules.Known() {
			return loop.ScheduleCheck, nil
		}
		last, err := w.Runs.Observation(ctx, state.KindSweep)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		unfinished, err := w.Runs.HasRunning(ctx, state.KindSweep)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		due, first, class := s, !mirrored(last), grant.Sweep
		if s == nil && w.Uncountable() {
			due = w.Fallback
		}
		if first {
			class = grant.Incremental // the first fill: all summaries, then their details
		}
		o := loop.Observation{Kind: state.KindSweep, Schedule: due, Store: w.Runs}
		return o.Run(ctx, first || unfinished, func(ctx context.Context) error {
			_, err := w.Sweep(ctx, SweepOptions{Class: class, RequestedBy: "schedule"})
			return err
		})
	}
}

// Sweep reads every summary of the library, resumable at its cursor: an unfinished sweep of another process is
// continued. state.ErrRunning: another process is sweeping. What was not found is looked up singly afterwards, and only
// when the whole sweep is complete.
func (w *Sweeper) Sweep(ctx context.Context, o SweepOptions) (SweepProgress, error) {
	ctx = grant.WithClass(ctx, o.Class)
	if err := w.pollBefore(ctx); err != nil {
		return SweepProgress{}, err
	}
	run, err := w.Runs.StartRun(ctx, state.KindSweep, o.RequestedBy, runLease, staleSweep)
	if err != nil {
		return SweepProgress{}, err
	}
	if err := w.Runs.BeginObservation(ctx, state.KindSweep); err != nil {
		return SweepProgress{}, err
	}
	w.Log.Info().Int64("run_id", run.ID).Bool("resumed", run.Resumed).Str("requested_by", o.RequestedBy).Msg("sweep started")
	p, err := w.run(ctx, run, o)
	w.Source.Note(err)
	return p, w.end(ctx, run, p, err)
}

// pollBefore polls once before the first sweep, so that later polls find the assets that editors move to the top during
// the sweep.
func (w *Sweeper) pollBefore(ctx context.Context) error {
	polled, err := w.Runs.Observation(ctx, state.KindIncremental)
	if err != nil || !polled.LastSuccess.IsZero() {
		return err
	}
	return w.Poller.Poll(ctx)
}

// end leaves an interrupted sweep to be continued, and fails one that cannot be.
func (w *Sweeper) end(ctx context.Context, run state.Run, p SweepProgress, err error) error {
	var deferred *grant.Deferred
	// The context may have ended; the outcome must still be recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	switch {
	case err == nil:
		w.Log.Info().Int64("run_id", run.ID).Int64("seen", p.Seen).Int64("changed", p.Changed).Int64("suspects", p.Suspects).
			Int64("requests", p.Requests).Msg("sweep complete")
		return w.Runs.EndObservation(ctx, state.KindSweep, nil, "")
	case errors.As(err, &deferred), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errors.Join(err, w.Runs.LeaveRun(ctx, run))
	case errors.Is(err, state.ErrLeaseLost):
		return err
	case errors.Is(err, ErrTooManySuspects), errors.Is(err, state.ErrEmptyListing), w.stuck(err):
		return errors.Join(err, w.Runs.FailRun(ctx, run, err.Error()), w.Runs.EndObservation(ctx, state.KindSweep, nil, err.Error()))
	default:
		return errors.Join(err, w.Runs.LeaveRun(ctx, run), w.Runs.EndObservation(ctx, state.KindSweep, nil, err.Error()))
	}
}

// stuck counts failures because of inconsistent answers and reports whether there were too many in a row.
func (w *Sweeper) stuck(err error) bool {
	if !errors.Is(err, walk.ErrUnstable) {
		return false
	}
	if w.unstable.Add(1) < maxUnstable {
		return false
	}
	w.unstable.Store(0)
	return true
}

func (w *Sweeper) run(ctx context.Context, run state.Run, o SweepOptions) (SweepProgress, error) {
	p := SweepProgress{RunID: run.ID, Total: -1, Resumed: run.Resumed}
	var cursor walk.Cursor
	if err := json.Unmarshal(run.Cursor, &cursor); err != nil {
		return p, fmt.Errorf("read cursor of sweep %d: %w", run.ID, err)
	}
	if err := w.addTotals(ctx, &p); err != nil {
		return p, err
	}
	swept, err := w.Runs.Observation(ctx, state.KindSweep)
	if err != nil {
		return p, err
	}
	obs := state.Observation{Kind: state.KindSweep, RunID: run.ID, Class: o.Class, Bulk: !mirrored(swept)}
	if err := w.readAll(ctx, sweeping{run: run, obs: obs, cursor: cursor, progress: o.Progress}, &p); err != nil {
		return p, err
	}
	if limit := suspectLimit(w.MonthLimit); !o.AllSuspects && p.Suspects > limit {
		return p, fmt.Errorf("%w: %d, and each costs a request; damsync resync --full looks them up", ErrTooManySuspects, p.Suspects)
	}
	looked, err := w.Runs.FinishRun(ctx, run, o.Class)
	if err != nil {
		return p, err
	}
	p.Suspects = int64(looked)
	// A summary does not show whether these assets changed again within the same second.
	_, err = w.Store.RequestWithinGrace(ctx, obs, 0)
	return p, err
}

// sweeping is the state of a sweep.
type sweeping struct {
	run      state.Run
	obs      state.Observation
	cursor   walk.Cursor
	progress func(SweepProgress)
}

func (w *Sweeper) readAll(ctx context.Context, s sweeping, p *SweepProgress) error {
	pages, stop := w.prefetch(ctx, s.cursor)
	defer stop()
	for !p.Done {
		got, err := pages.next(ctx)
		if err == nil {
			err = w.write(ctx, s, got, p)
		}
		if err != nil {
			return err
		}
		s.cursor = got.cursor
		w.unstable.Store(0)
		if s.progress != nil {
			s.progress(*p)
		}
	}
	return nil
}

// write writes what one step of the walk has read.
func (w *Sweeper) write(ctx context.Context, s sweeping, got page, p *SweepProgress) error {
	if s.cursor.To.IsZero() {
		if err := w.refuseEmpty(ctx, got.span); err != nil {
			return err
		}
		p.Total = got.span.Total
	}
	applied, missing, err := w.applySpan(ctx, s.obs, got.readAt, got.span)
	if err != nil {
		return err
	}
	seen := max(applied.Seen-len(s.cursor.AtTo), 0)
	text, err := json.Marshal(got.cursor)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	err = w.Runs.RecordProgress(ctx, s.run, state.Progress{
		Requests: got.span.Requests, Seen: seen, Changed: applied.Changed, Suspects: missing, Cursor: text,
	}, runLease)
	p.Done = got.span.End
	p.Seen += int64(seen)
	p.Changed += int64(applied.Changed)
	p.Suspects += int64(len(missing))
	p.Requests += int64(got.span.Requests)
	return err
}

func (w *Sweeper) addTotals(ctx context.Context, p *SweepProgress) error {
	t, err := w.Runs.RunTotals(ctx, p.RunID)
	if err != nil {
		return err
	}
	p.Seen, p.Changed, p.Suspects, p.Requests = t.Seen, t.Changed, t.Suspects, t.Requests
	return nil
}
