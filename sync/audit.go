package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
)

// AuditOptions says how to audit the library.
type AuditOptions struct {
	Class       grant.Class
	RequestedBy string
	Progress    func(AuditProgress) // may be nil
	// AllSuspects looks up every asset that was not found, however many.
	AllSuspects bool
}

// AuditProgress is how far an audit got.
type AuditProgress struct {
	RunID    int64
	Requests int
	Windows  int // counted
	Missing  int // in the mirror and not listed
	Surplus  int // listed and not in the mirror, where they are now
}

// AuditResult is what an audit found.
type AuditResult struct {
	RunID    int64
	Requests int
	Cap      int // the highest total_count the library gives; 0: none was noticed
	state.Audit
}

// Found tells whether the library and the mirror differed.
func (r AuditResult) Found() bool { return r.Missing > 0 || r.Surplus > 0 }

// Audit compares the whole library with the mirror by counting, one request when nothing differs.
// What the mirror has and the library does not list is looked up singly afterwards; only its
// own 404 is a removal. An audit is not resumed: one that was broken off begins anew, and finds what
// pages have brought into the mirror already there. state.ErrRunning: another process is at
// one. audit.ErrUncountable: the library cannot be counted by windows, and nothing is
// inferred. A *grant.Deferred error comes with what was found until then, which is looked up.
func (e *Engine) Audit(ctx context.Context, o AuditOptions) (AuditResult, error) {
	return e.audit(ctx, o, state.KindAudit, state.AuditLibrary, func(ctx context.Context, a *audit.Auditor) (audit.Report, error) {
		return a.Whole(ctx)
	})
}

// audit runs one and records it. observation is what its success is recorded as.
func (e *Engine) audit(ctx context.Context, o AuditOptions, observation, scope string,
	do func(context.Context, *audit.Auditor) (audit.Report, error),
) (AuditResult, error) {
	ctx = grant.WithClass(ctx, o.Class)
	run, err := e.startAudit(ctx, o)
	if err != nil {
		return AuditResult{}, err
	}
	last, err := e.store.Observation(ctx, state.KindAudit)
	if err != nil {
		return AuditResult{}, err
	}
	memory, err := auditMemoryOf(last)
	if err != nil {
		return AuditResult{}, err
	}
	if err := e.store.BeginObservation(ctx, observation); err != nil {
		return AuditResult{}, err
	}
	source := &auditSource{engine: e, run: run, obs: state.Observation{Kind: state.KindAudit, RunID: run.ID}}
	auditor := &audit.Auditor{Library: source, Mirror: source, Bounds: memory.Bounds, Cap: memory.Cap}
	if o.Progress != nil {
		auditor.Progress = func(r audit.Report) {
			o.Progress(AuditProgress{RunID: run.ID, Requests: r.Requests, Windows: r.Windows, Missing: r.Missing(), Surplus: r.Surplus})
		}
	}
	report, err := do(ctx, auditor)
	e.noteLibrary(err)
	result := AuditResult{RunID: run.ID, Requests: report.Requests, Cap: report.Cap, Audit: state.Audit{
		Scope: scope, Windows: report.Windows, Missing: report.Missing(), Surplus: report.Surplus, Hidden: report.Hidden, Notes: report.Notes,
	}}
	if report.Complete {
		result.CompleteAt = run.StartedAt
	}
	// The context may have ended; the record of it must still be written.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	memory.Bounds, memory.Cap = report.Bounds, report.Cap
	memory.learn(report)
	if scope == state.AuditLibrary && !report.Complete {
		memory.Bounds = audit.Bounds{} // what does not add up may be their fault
	}
	return e.endAudit(end, run, o, observation, source, report, memory, result, err)
}

// startAudit begins a run; one that another process left behind is given up.
func (e *Engine) startAudit(ctx context.Context, o AuditOptions) (state.Run, error) {
	run, err := e.store.StartRun(ctx, state.KindAudit, o.RequestedBy, runLease)
	if err != nil || !run.Resumed {
		return run, err
	}
	if err := e.store.FailRun(ctx, run, "left unfinished; begun anew"); err != nil {
		return run, err
	}
	return e.store.StartRun(ctx, state.KindAudit, o.RequestedBy, runLease)
}

// endAudit hands what is missing on to be looked up, unless the audit failed: then nothing is
// inferred.
func (e *Engine) endAudit(ctx context.Context, run state.Run, o AuditOptions, observation string, source *auditSource,
	report audit.Report, memory auditMemory, result AuditResult, failure error,
) (AuditResult, error) {
	if err := source.progress(ctx, report.Suspects); err != nil {
		return result, errors.Join(failure, err)
	}
	var deferred *grant.Deferred
	if failure == nil && !o.AllSuspects && int64(report.Missing()) > e.suspectLimit() {
		failure = fmt.Errorf("%w: %d, and each costs a request; damsync resync --full looks them up", ErrTooManySuspects, report.Missing())
	}
	e.uncountable.Store(errors.Is(failure, audit.ErrUncountable))
	if failure != nil && !errors.As(failure, &deferred) {
		return result, errors.Join(failure, e.store.SaveAudit(ctx, run.ID, result.Audit), e.store.FailRun(ctx, run, failure.Error()),
			e.store.EndObservation(ctx, observation, nil, failure.Error()))
	}
	looked, err := e.store.FinishRun(ctx, run, o.Class)
	result.Suspects = looked
	if err == nil {
		err = e.store.SaveAudit(ctx, run.ID, result.Audit)
	}
	if err != nil {
		return result, errors.Join(failure, err)
	}
	e.logAudit(run, result)
	if failure != nil {
		return result, errors.Join(failure, e.store.EndObservation(ctx, observation, nil, failure.Error()))
	}
	return result, e.rememberAudit(ctx, observation, memory, result)
}

// rememberAudit records the success and what the next audit may know.
func (e *Engine) rememberAudit(ctx context.Context, observation string, memory auditMemory, result AuditResult) error {
	if observation != state.KindAudit {
		return e.store.EndObservation(ctx, observation, nil, "")
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return err
	}
	memory.spend(now, result.Requests)
	text, err := json.Marshal(memory)
	if err != nil {
		return fmt.Errorf("encode what the audit has left: %w", err)
	}
	return e.store.EndObservation(ctx, observation, text, "")
}

func (e *Engine) logAudit(run state.Run, r AuditResult) {
	level := zerolog.InfoLevel
	if len(r.Notes) > 0 {
		level = zerolog.WarnLevel
	}
	e.log.WithLevel(level).Strs("notes", r.Notes).Int64("run_id", run.ID).Str("scope", r.Scope).Int("requests", r.Requests).Int("windows", r.Windows).Int("missing", r.Missing).
		Int("surplus", r.Surplus).Int("suspects", r.Suspects).Bool("complete", !r.CompleteAt.IsZero()).Msg("audit ended")
}
