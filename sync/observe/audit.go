package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/loop"
)

// AuditOptions specifies an audit of the library.
type AuditOptions struct {
	Class       grant.Class
	RequestedBy string
	Progress    func(AuditProgress) // may be nil
}

// AuditProgress is the progress of an audit.
type AuditProgress struct {
	RunID    int64
	Requests int
	Windows  int // counted
	Missing  int // in the mirror and not listed
	Extra    int // listed and not in the mirror until now
}

// AuditResult is what an audit found.
type AuditResult struct {
	RunID    int64
	Requests int
	state.Audit
}

// Found reports whether the library and the mirror differed.
func (r AuditResult) Found() bool { return r.Missing > 0 || r.Extra > 0 }

// AuditStore is what audits need besides the mirror. It counts the living assets of the mirror whose created_at is at or
// after one time and before another; a zero time is open.
type AuditStore interface {
	SweepStore
	CountWindow(ctx context.Context, from, to time.Time) (int, error)
	NthCreated(ctx context.Context, from, to time.Time, n int) (time.Time, error)
	WindowRows(ctx context.Context, from, to time.Time) ([]state.WindowRow, error)
	SaveAudit(ctx context.Context, runID int64, a state.Audit) error
	AuditWindows(ctx context.Context) ([]state.AuditWindow, error)
	ReplaceAuditWindows(ctx context.Context, old, windows []state.AuditWindow) error
}

// Auditor compares the library with the mirror by counting. Its methods are safe for concurrent use.
type Auditor struct {
	*Mirror
	Audits     AuditStore
	MonthLimit int64 // requests a month
	Wakeup     loop.Wakeup

	requested   atomic.Bool
	uncountable atomic.Bool
}

// Request makes the leader audit the whole library.
func (a *Auditor) Request() {
	a.requested.Store(true)
	a.Wakeup.Signal()
}

// Uncountable reports whether the last audit found that the library's counts prove nothing.
func (a *Auditor) Uncountable() bool { return a.uncountable.Load() }

// Step audits the whole library when that was requested, and else the windows whose turn it is by the schedule. It
// waits for the first sweep, and for one that is running.
func (a *Auditor) Step(s cron.Schedule) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		if !a.Rules.Known() {
			return loop.ScheduleCheck, nil
		}
		swept, err := a.Audits.Observation(ctx, state.KindSweep)
		if err != nil {
			return loop.ScheduleCheck, err
		}
		sweeping, err := a.Audits.HasRunning(ctx, state.KindSweep)
		if err != nil || sweeping || !mirrored(swept) {
			return loop.ScheduleCheck, err
		}
		if a.requested.Swap(false) {
			o := loop.Observation{Kind: state.KindAudit, Store: a.Audits}
			return o.Run(ctx, true, func(ctx context.Context) error {
				_, err := a.Audit(ctx, AuditOptions{Class: grant.Audit, RequestedBy: "counts"})
				return err
			})
		}
		o := loop.Observation{Kind: state.KindAuditWindows, Schedule: s, Store: a.Audits}
		return o.Run(ctx, false, a.AuditWindows)
	}
}

// Mirrored reports whether the library was ever read in full, so that there is a mirror to compare it with.
func (a *Auditor) Mirrored(ctx context.Context) (bool, error) {
	swept, err := a.Audits.Observation(ctx, state.KindSweep)
	return mirrored(swept), err
}

// Audit compares the whole library with the mirror by counting: one request when nothing differs. Assets of the mirror
// that the library does not list are looked up singly afterwards; only an asset's own 404 is a removal. An interrupted
// audit is not resumed: the next one starts again, with the rows of its pages already in the mirror.
// state.ErrRunning: another process is auditing. audit.ErrUncountable: the library cannot be counted by windows, and
// nothing is inferred. A *grant.Deferred error comes with what was found until then, which is looked up.
func (a *Auditor) Audit(ctx context.Context, o AuditOptions) (AuditResult, error) {
	return a.audit(ctx, auditKind{observation: state.KindAudit, scope: state.AuditLibrary}, o,
		func(ctx context.Context, by *audit.Auditor) (audit.Report, error) { return by.Whole(ctx) })
}

// auditKind is how an audit is recorded.
type auditKind struct{ observation, scope string }

// audit runs one audit and records it.
func (a *Auditor) audit(ctx context.Context, kind auditKind, o AuditOptions, run func(context.Context, *audit.Auditor) (audit.Report, error)) (AuditResult, error) {
	ctx = grant.WithClass(ctx, o.Class)
	r, err := a.Audits.StartRun(ctx, state.KindAudit, o.RequestedBy, runLease, 0)
	if err != nil {
		return AuditResult{}, err
	}
	last, err := a.Audits.Observation(ctx, state.KindAudit)
	if err != nil {
		return AuditResult{}, err
	}
	memory, err := auditMemoryOf(last)
	if err != nil {
		return AuditResult{}, err
	}
	if err := a.Audits.BeginObservation(ctx, kind.observation); err != nil {
		return AuditResult{}, err
	}
	source := &auditSource{auditor: a, run: r, obs: state.Observation{Kind: state.KindAudit, RunID: r.ID, Class: o.Class}}
	by := &audit.Auditor{Library: source, Mirror: source, Bounds: memory.Bounds}
	if o.Progress != nil {
		by.Progress = func(rep audit.Report) {
			o.Progress(AuditProgress{RunID: r.ID, Requests: rep.Requests, Windows: rep.Windows, Missing: rep.Missing(), Extra: rep.Extra})
		}
	}
	report, err := run(ctx, by)
	a.Source.Note(err)
	// The context may have ended; the outcome must still be recorded.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	memory.learn(report, kind.scope)
	return a.end(end, auditEnd{kind: kind, class: o.Class, source: source, report: report, memory: memory}, err)
}

// auditEnd is the outcome of an audit that has to be recorded.
type auditEnd struct {
	kind   auditKind
	class  grant.Class
	source *auditSource
	report audit.Report
	memory auditMemory
}

func (e auditEnd) result() AuditResult {
	rep := e.report
	result := AuditResult{RunID: e.source.run.ID, Requests: rep.Requests, Audit: state.Audit{
		Scope: e.kind.scope, Windows: rep.Windows, Missing: rep.Missing(), Extra: rep.Extra, Hidden: rep.Hidden, Notes: rep.Notes,
	}}
	if rep.Complete {
		result.CompleteAt = e.source.run.StartedAt
	}
	return result
}

// end requests lookups of the suspects, unless the audit failed: then nothing is inferred.
func (a *Auditor) end(ctx context.Context, e auditEnd, failure error) (AuditResult, error) {
	result, run, observation := e.result(), e.source.run, e.kind.observation
	if err := e.source.progress(ctx, e.report.Suspects); err != nil {
		return result, errors.Join(failure, err)
	}
	var deferred *grant.Deferred
	if failure == nil && int64(result.Missing) > suspectLimit(a.MonthLimit) {
		failure = fmt.Errorf("%w: %d, and each costs a request; damsync resync --full looks them up", ErrTooManySuspects, result.Missing)
	}
	a.uncountable.Store(errors.Is(failure, audit.ErrUncountable))
	if failure != nil && !errors.As(failure, &deferred) {
		return result, errors.Join(failure, a.Audits.SaveAudit(ctx, run.ID, result.Audit), a.Audits.FailRun(ctx, run, failure.Error()),
			a.Audits.EndObservation(ctx, observation, nil, failure.Error()))
	}
	looked, err := a.Audits.FinishRun(ctx, run, e.class)
	result.Suspects = looked
	if err == nil {
		err = a.Audits.SaveAudit(ctx, run.ID, result.Audit)
	}
	if err != nil {
		return result, errors.Join(failure, err)
	}
	a.logAudit(result)
	if failure != nil {
		return result, errors.Join(failure, a.Audits.EndObservation(ctx, observation, nil, failure.Error()))
	}
	return result, a.succeed(ctx, observation, e.memory)
}

// succeed records the success, and after an audit of the whole library its memory for the next one.
func (a *Auditor) succeed(ctx context.Context, observation string, memory auditMemory) error {
	if observation != state.KindAudit {
		return a.Audits.EndObservation(ctx, observation, nil, "")
	}
	text, err := json.Marshal(memory)
	if err != nil {
		return fmt.Errorf("encode the memory of audits: %w", err)
	}
	return a.Audits.EndObservation(ctx, observation, text, "")
}

func (a *Auditor) logAudit(r AuditResult) {
	level := zerolog.InfoLevel
	if len(r.Notes) > 0 {
		level = zerolog.WarnLevel
	}
	a.Log.WithLevel(level).Strs("notes", r.Notes).Int64("run_id", r.RunID).Str("scope", r.Scope).Int("requests", r.Requests).Int("windows", r.Windows).
		Int("missing", r.Missing).Int("extra", r.Extra).Int("suspects", r.Suspects).Bool("complete", !r.CompleteAt.IsZero()).Msg("audit ended")
}

// auditMemory is what one audit of the library stores for the next.
type auditMemory struct {
	Bounds audit.Bounds `json:"bounds"`
	// Suspects are some suspects of the last audit. Unexplained counts the assets that it could not explain:
	// counted and not listed, or suspects also of the audit before whose own detail says that they live.
	Suspects    []string `json:"suspects,omitempty"`
	Unexplained int      `json:"unexplained,omitempty"`
}

// suspectsKept bounds the suspects that one audit remembers for the next.
const suspectsKept = 100

// learn stores the result of an audit. When an audit of the library did not complete, its bounds may be wrong and the next
// one calibrates them again.
func (m *auditMemory) learn(r audit.Report, scope string) {
	m.Bounds = r.Bounds
	if scope == state.AuditLibrary && !r.Complete {
		m.Bounds = audit.Bounds{}
	}
	m.Unexplained = r.Hidden
	for _, id := range m.Suspects {
		if slices.Contains(r.Suspects, id) {
			m.Unexplained++
		}
	}
	m.Suspects = slices.Clone(r.Suspects[:min(len(r.Suspects), suspectsKept)])
}

func auditMemoryOf(o state.ObservationState) (auditMemory, error) {
	var m auditMemory
	if len(o.Cursor) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(o.Cursor, &m); err != nil {
		return m, fmt.Errorf("read the memory of audits: %w", err)
	}
	return m, nil
}
