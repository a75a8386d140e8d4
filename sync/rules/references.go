package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/loop"
)

const (
	// referencesAge is how old the folders, labels and fields may get. No event reports a renamed folder; a
	// row with an unknown path does.
	referencesAge = time.Hour
	// minGap and maxGap bound the time between two requested readings.
	minGap, maxGap = 2 * time.Second, 15 * time.Minute
)

// Library lists the folders, labels and fields that assets refer to.
type Library interface {
	Folders(ctx context.Context) ([]library.Folder, error)
	LabelGroups(ctx context.Context) ([]library.LabelGroup, error)
	FieldDefinitions(ctx context.Context) ([]library.FieldDefinition, error)
	// Note records the outcome of a reading.
	Note(err error)
}

// ReferenceStore keeps folders, labels and fields.
type ReferenceStore interface {
	Now(ctx context.Context) (time.Time, error)
	Observation(ctx context.Context, kind string) (state.ObservationState, error)
	BeginObservation(ctx context.Context, kind string) error
	EndObservation(ctx context.Context, kind string, cursor json.RawMessage, failure string) error
	ApplyReferences(ctx context.Context, obs state.Observation, refs state.References) (state.ReferencesApplied, error)
	Notify(ctx context.Context, topic state.Topic) error
}

// References keeps the folders, labels and fields of the mirror up to date. Its methods are safe for concurrent use.
type References struct {
	Library Library
	Store   ReferenceStore
	Planner *Planner
	Leading func() bool // whether this process runs Step
	Wakeup  loop.Wakeup
	Log     zerolog.Logger

	mu        sync.Mutex
	requested bool
	gap       time.Duration // between readings that change nothing; it doubles
	next      time.Time
}

// Request makes the leading process read folders, labels and fields again, at once or when the gap since the last reading
// is over: a library whose paths never agree must not cost a listing for each row.
func (r *References) Request(ctx context.Context) {
	r.Requested()
	if r.Leading() {
		return
	}
	if err := r.Store.Notify(ctx, state.TopicReferences); err != nil {
		r.Log.Warn().Err(err).Msg("requesting folders, labels and fields from the leader failed")
	}
}

// Requested is Request for the process that leads.
func (r *References) Requested() {
	r.mu.Lock()
	r.requested = true
	r.mu.Unlock()
	r.Wakeup.Signal()
}

// Refresh reads folders, label groups and, when a rule reads one, field definitions. Then it puts in force the rules
// whose names the library has.
func (r *References) Refresh(ctx context.Context, class grant.Class) error {
	ctx = grant.WithClass(ctx, class)
	if err := r.Store.BeginObservation(ctx, state.KindReferences); err != nil {
		return err
	}
	r.begin()
	changed, err := r.read(ctx)
	r.Library.Note(err)
	if err != nil {
		r.failed()
		return errors.Join(fmt.Errorf("read folders, labels and fields: %w", err),
			r.Store.EndObservation(context.WithoutCancel(ctx), state.KindReferences, nil, err.Error()))
	}
	r.finish(changed)
	if err := r.Store.EndObservation(ctx, state.KindReferences, nil, ""); err != nil {
		return err
	}
	return r.Planner.Check(ctx)
}

func (r *References) read(ctx context.Context) (changed bool, err error) {
	var refs state.References
	if refs.Folders, err = r.Library.Folders(ctx); err != nil {
		return false, err
	}
	if refs.LabelGroups, err = r.Library.LabelGroups(ctx); err != nil {
		return false, err
	}
	if r.Planner.Rules.ReadsFields() {
		if refs.Fields, err = r.Library.FieldDefinitions(ctx); err != nil {
			return false, err
		}
	}
	applied, err := r.Store.ApplyReferences(ctx, state.Observation{Kind: state.KindReferences}, refs)
	for _, kept := range applied.Kept {
		r.Log.Warn().Str("kind", kept).Msg("the library lists none, but assets of the mirror refer to some; keeping those of the mirror")
	}
	return applied.Changed, err
}

// Step reads folders, labels and fields when they are old or when a reading was requested.
func (r *References) Step(ctx context.Context) (time.Duration, error) {
	last, err := r.Store.Observation(ctx, state.KindReferences)
	if err != nil {
		return loop.ScheduleCheck, err
	}
	now, err := r.Store.Now(ctx)
	if err != nil {
		return loop.ScheduleCheck, err
	}
	wait, requested := r.due()
	age := now.Sub(last.LastSuccess)
	switch {
	case age >= referencesAge:
	case requested && wait == 0:
	case requested:
		return wait, nil
	default:
		return min(referencesAge-age, loop.ScheduleCheck), nil
	}
	return 0, r.Refresh(ctx, grant.Incremental)
}

// due returns how long until a requested reading may begin.
func (r *References) due() (wait time.Duration, requested bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, time.Until(r.next)), r.requested
}

// begin consumes the request; a later request is for another reading.
func (r *References) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requested = false
}

func (r *References) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requested = true
}

// finish sets when the next requested reading may begin. One that changed nothing widens the gap.
func (r *References) finish(changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if changed || r.gap == 0 {
		r.gap = minGap
	} else {
		r.gap = min(2*r.gap, maxGap)
	}
	r.next = time.Now().Add(r.gap)
}
