package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/walk"
)

const runLease = 30 * time.Second

// SweepOptions says how to read the whole library.
type SweepOptions struct {
	Class       grant.Class
	RequestedBy string
	Progress    func(SweepProgress) // may be nil
	// AllSuspects looks up every asset that was not found, however many.
	AllSuspects bool
}

// SweepProgress is how far a sweep got.
type SweepProgress struct {
	RunID    int64
	Total    int // assets the library says it has; -1 unknown
	Seen     int64
	Changed  int64
	Suspects int64
	Requests int64
	Done     bool
	Resumed  bool // it went on where another process had left off
}

// ErrTooManySuspects is the class of a sweep that missed so many assets that
// checking each would cost too much of the month. Nothing is removed.
var ErrTooManySuspects = errors.New("too many assets were not found where they should be")

// Sweep reads every summary of the library, resumable at its cursor: an
// unfinished sweep of a process that is gone is continued. state.ErrRunning:
// another process is at it. What was not found is looked up singly afterwards,
// and only when the whole sweep is complete.
func (e *Engine) Sweep(ctx context.Context, o SweepOptions) (SweepProgress, error) {
	ctx = grant.WithClass(ctx, o.Class)
	if err := e.pollBefore(ctx); err != nil {
		return SweepProgress{}, err
	}
	run, err := e.startSweep(ctx, o)
	if err != nil {
		return SweepProgress{}, err
	}
	if err := e.store.BeginObservation(ctx, state.KindSweep); err != nil {
		return SweepProgress{}, err
	}
	log := e.log.With().Int64("run_id", run.ID).Logger()
	log.Info().Bool("resumed", run.Resumed).Str("requested_by", o.RequestedBy).Msg("sweep started")
	p, err := e.sweepRun(ctx, run, o)
	e.noteLibrary(err)
	return p, e.endSweep(ctx, run, p, err)
}

// pollBefore gives the poll its starting point before the first sweep: what editors move to the
// top while a sweep reads is the poll's to find.
func (e *Engine) pollBefore(ctx context.Context) error {
	polled, err := e.store.Observation(ctx, state.KindIncremental)
	if err != nil || !polled.LastSuccess.IsZero() {
		return err
	}
	return e.Poll(ctx)
}

// staleRun is the age at which an unfinished sweep is begun anew: it says nothing of deletions
// above its cursor since.
const staleRun = 24 * time.Hour

func (e *Engine) startSweep(ctx context.Context, o SweepOptions) (state.Run, error) {
	run, err := e.store.StartRun(ctx, state.KindSweep, o.RequestedBy, runLease)
	if err != nil || !run.Resumed {
		return run, err
	}
	now, err := e.store.Now(ctx)
	if err != nil || now.Sub(run.StartedAt) < staleRun {
		return run, err
	}
	if err := e.store.FailRun(ctx, run, "left unfinished for too long"); err != nil {
		return run, err
	}
	return e.store.StartRun(ctx, state.KindSweep, o.RequestedBy, runLease)
}

// endSweep leaves a sweep that was interrupted for somebody to go on with, and fails one
// that cannot.
func (e *Engine) endSweep(ctx context.Context, run state.Run, p SweepProgress, err error) error {
	var deferred *grant.Deferred
	// The context may have ended; the record of it must still be written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	switch {
	case err == nil:
		e.log.Info().Int64("run_id", run.ID).Int64("seen", p.Seen).Int64("changed", p.Changed).Int64("suspects", p.Suspects).
			Int64("requests", p.Requests).Msg("sweep complete")
		return e.store.EndObservation(ctx, state.KindSweep, nil, "")
	case errors.As(err, &deferred), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errors.Join(err, e.store.LeaveRun(ctx, run))
	case errors.Is(err, state.ErrLeaseLost):
		return err
	case errors.Is(err, ErrTooManySuspects), errors.Is(err, state.ErrEmptyListing), e.stuck(err):
		return errors.Join(err, e.store.FailRun(ctx, run, err.Error()), e.store.EndObservation(ctx, state.KindSweep, nil, err.Error()))
	default:
		return errors.Join(err, e.store.LeaveRun(ctx, run), e.store.EndObservation(ctx, state.KindSweep, nil, err.Error()))
	}
}

// maxUnstable is how often in a row a sweep is tried at a cursor where nothing adds up, before it
// begins anew.
const maxUnstable = 5

// stuck counts failures of that kind and tells when there are too many.
func (e *Engine) stuck(err error) bool {
	if !errors.Is(err, walk.ErrUnstable) {
		return false
	}
	if e.unstable.Add(1) < maxUnstable {
		return false
	}
	e.unstable.Store(0)
	return true
}

func (e *Engine) sweepRun(ctx context.Context, run state.Run, o SweepOptions) (SweepProgress, error) {
	var cursor walk.Cursor
	if err := json.Unmarshal(run.Cursor, &cursor); err != nil {
		return SweepProgress{}, fmt.Errorf("read cursor of sweep %d: %w", run.ID, err)
	}
	p := SweepProgress{RunID: run.ID, Total: -1, Resumed: run.Resumed}
	if err := e.addTotals(ctx, &p); err != nil {
		return p, err
	}
	swept, err := e.store.Observation(ctx, state.KindSweep)
	if err != nil {
		return p, err
	}
	obs := state.Observation{Kind: state.KindSweep, RunID: run.ID, Bulk: !mirrored(swept)}
	ahead, stop := e.readAhead(ctx, cursor)
	defer stop()
	for !p.Done {
		r, err := ahead.next(ctx)
		if err == nil {
			err = e.sweepStep(ctx, run, obs, cursor, r, &p)
		}
		if err != nil {
			return p, err
		}
		cursor = r.cursor
		e.unstable.Store(0)
		if o.Progress != nil {
			o.Progress(p)
		}
	}
	if limit := e.suspectLimit(); !o.AllSuspects && p.Suspects > limit {
		return p, fmt.Errorf("%w: %d, and each costs a request; damsync resync --full looks them up", ErrTooManySuspects, p.Suspects)
	}
	looked, err := e.store.FinishRun(ctx, run, o.Class)
	if err != nil {
		return p, err
	}
	p.Suspects = int64(looked)
	// A summary does not tell whether these have changed once more, as late as a moment ago.
	_, err = e.store.WantUnsettled(ctx, obs, 0)
	return p, err
}

// suspectLimit is a tenth of the month's requests.
func (e *Engine) suspectLimit() int64 {
	if e.opts.MonthLimit <= 0 {
		return 1 << 40
	}
	return max(e.opts.MonthLimit/10, 100)
}

func (e *Engine) addTotals(ctx context.Context, p *SweepProgress) error {
	t, err := e.store.RunTotals(ctx, p.RunID)
	if err != nil {
		return err
	}
	p.Seen, p.Changed, p.Suspects, p.Requests = t.Seen, t.Changed, t.Suspects, t.Requests
	return nil
}

// sweepStep writes what one step of the walk has read from the cursor on.
func (e *Engine) sweepStep(ctx context.Context, run state.Run, obs state.Observation, cursor walk.Cursor, r reading, p *SweepProgress) error {
	s, next := r.span, r.cursor
	if cursor.To.IsZero() {
		if err := e.refuseEmpty(ctx, s); err != nil {
			return err
		}
		p.Total = s.Total
	}
	applied, missing, err := e.applySpan(ctx, obs, r.readAt, s)
	if err != nil {
		return err
	}
	if applied.FolderUnknown {
		e.wantReferences(ctx)
	}
	seen := max(applied.Seen-len(cursor.AtTo), 0)
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	err = e.store.RecordProgress(ctx, run, state.Progress{
		Requests: s.Requests, Seen: seen, Changed: applied.Changed, Suspects: missing, Cursor: text,
	}, runLease)
	p.Done = s.End
	p.Seen += int64(seen)
	p.Changed += int64(applied.Changed)
	p.Suspects += int64(len(missing))
	p.Requests += int64(s.Requests)
	return err
}

// refuseEmpty infers nothing from a library that lists nothing while the
// mirror has assets.
func (e *Engine) refuseEmpty(ctx context.Context, s walk.Span) error {
	if len(s.Items) > 0 {
		return nil
	}
	n, err := e.store.CountAssets(ctx)
	if err != nil || n == 0 {
		return err
	}
	return fmt.Errorf("%w (%d assets)", state.ErrEmptyListing, n)
}
