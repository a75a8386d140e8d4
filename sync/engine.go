// Package sync is the engine: it observes the CMP library into the mirror,
// plans what each target should hold, and pushes the difference.
//
// The way of the data is one direction: an observation writes the mirror and
// plans the changed assets in the same transaction; a dirty placement is work; a
// push makes it clean. Wake-ups are hints, the rows are the truth, so every
// loop here can be killed and started anywhere.
package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Target is one configured place to push to.
type Target struct {
	Rule    *plan.Target
	Adapter dam.Adapter
	Workers int // pushes in flight at once; 4 when zero

	// Adopt takes over what is in a place without any mark when its bytes are
	// those of the asset; otherwise it is in the way.
	Adopt bool

	// RepairDrift repairs what a scheduled verification finds missing, changed or
	// orphaned; otherwise it is only reported.
	RepairDrift bool
}

// Store is all the engine asks of PostgreSQL; each part says what it is for.
type Store interface {
	MirrorStore
	AuditStore
	LookupStore
	RunStore
	PlanStore
	PlacementStore
	PathStore
	GateStore
	DriftStore
	RepairStore
	LeaseStore
}

// Options configures an Engine. Library, Store, Instance and Targets are required.
type Options struct {
	Library  Library
	Store    Store
	Instance string // marks objects at targets as ours
	Targets  []Target
	Log      zerolog.Logger

	Schedule      Schedule
	LookupWorkers int           // assets read at once; 8 when zero
	SlowPoll      time.Duration // how often work is looked for without a wake-up; 30 s when zero
	MonthLimit    int64         // requests a month less those reserved for others, to judge what a sweep may cost
	PerSecond     int           // requests a second, to tell when work will be done

	Depth  DepthStore // nil: details are not refreshed, and nobody watches the first light
	Budget Budget     // nil: details are not refreshed
}

// Engine runs the work. Its methods are safe for concurrent use.
type Engine struct {
	lib      Library
	store    Store
	instance string
	targets  []Target
	log      zerolog.Logger
	opts     Options

	active   atomic.Pointer[ruling] // what assets are judged by; nil until the names that rules refer to are known
	deciding sync.RWMutex           // read-held by who writes what the rules decide
	urls     *urlCache
	bells    bells
	deferred atomic.Pointer[grant.Deferred] // the last refusal by the quota
	failure  atomic.Pointer[Failure]        // what keeps the library from being read

	leading    atomic.Bool
	sweepAsked atomic.Bool
	auditAsked atomic.Bool
	// uncountable: the last audit found that the library cannot be counted by windows.
	uncountable atomic.Bool
	unstable    atomic.Int32 // failures of a sweep in a row because nothing added up
	references  refreshing
	problems    problems
	trouble     breaker
}

// Failure is what keeps the library from being read, for readiness.
type Failure struct {
	At  time.Time
	Err error
}

// New returns an engine; it starts nothing.
func New(o Options) *Engine {
	if o.LookupWorkers == 0 {
		o.LookupWorkers = 8
	}
	if o.SlowPoll == 0 {
		o.SlowPoll = 30 * time.Second
	}
	e := &Engine{
		lib: o.Library, store: o.Store, instance: o.Instance, targets: o.Targets, log: o.Log, opts: o,
		urls: newURLCache(),
	}
	e.bells = newBells()
	for _, t := range o.Targets {
		e.bells.placement[t.Rule.Name()] = newBell()
	}
	return e
}

// ruling is what assets are judged by.
type ruling struct {
	rules  []*plan.Target    // those that may run
	labels map[string]string // the names of label groups and values now, by id
}

// labelNames are the names that labels have now, by id.
func (e *Engine) labelNames() map[string]string {
	if active := e.active.Load(); active != nil {
		return active.labels
	}
	return nil
}

// rules lists the rules that run: none until the names that they refer to are
// known.
func (e *Engine) rules() []*plan.Target {
	if active := e.active.Load(); active != nil {
		return active.rules
	}
	return nil
}

// rulesKnown tells whether rules lists all that are to run. What is planned
// before would be planned for nothing.
func (e *Engine) rulesKnown() bool { return e.active.Load() != nil }

// withRules runs a write of what the rules decide. The rules change before it or
// after it, so that a full planning under the new ones sees what was
// written under the old.
func (e *Engine) withRules(write func() error) error {
	e.deciding.RLock()
	defer e.deciding.RUnlock()
	return write()
}

// setActive lets the rules run that have no problem, and wakes who waits for
// them. It returns those that did not run while others did.
func (e *Engine) setActive(problems, labels map[string]string) (gained []*plan.Target) {
	rules := make([]*plan.Target, 0, len(e.targets))
	for _, t := range e.targets {
		if problems[t.Rule.Name()] == "" {
			rules = append(rules, t.Rule)
		}
	}
	before := e.active.Load()
	if before != nil && slices.Equal(before.rules, rules) && maps.Equal(before.labels, labels) {
		return nil
	}
	e.deciding.Lock()
	e.active.Store(&ruling{rules: rules, labels: labels})
	e.deciding.Unlock()
	for _, t := range []state.Topic{state.TopicLookup, state.TopicPlacement, state.TopicGate} {
		e.Wake(t)
	}
	e.bells.ringLeader()
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r *plan.Target) bool { return slices.Contains(before.rules, r) })
}

// LibraryFailure is nil while the library can be read.
func (e *Engine) LibraryFailure() *Failure { return e.failure.Load() }

// Deferred tells until when the quota refuses requests, when it does.
func (e *Engine) Deferred() (*grant.Deferred, bool) {
	d := e.deferred.Load()
	return d, d != nil && time.Now().Before(d.Until)
}

// noteLibrary remembers how the last reading of the library went.
func (e *Engine) noteLibrary(err error) {
	var deferred *grant.Deferred
	switch {
	case err == nil: // says nothing of those that the quota has refused meanwhile
		e.failure.Store(nil)
	case errors.As(err, &deferred):
		e.noteDeferred(deferred)
	case errors.Is(err, context.Canceled):
	default:
		e.failure.Store(&Failure{At: time.Now(), Err: err})
	}
}

// noteDeferred tells once of each time that work is deferred to.
func (e *Engine) noteDeferred(d *grant.Deferred) {
	before := e.deferred.Swap(d)
	if before == nil || before.Class != d.Class || !before.Until.Equal(d.Until) {
		e.log.Info().Str("class", string(d.Class)).Time("until", d.Until).Str("reason", d.Reason).Msg("work is deferred by the quota")
	}
}

// group runs loops and waits for all of them; the first that fails ends the others.
type group struct {
	wg     sync.WaitGroup
	cancel context.CancelCauseFunc
	ctx    context.Context
}

func newGroup(ctx context.Context) *group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &group{ctx: ctx, cancel: cancel}
}

func (g *group) run(name string, loop func(context.Context) error) {
	g.wg.Go(func() {
		if err := loop(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// wait returns the failure that ended the group, nil when it was asked to end.
func (g *group) wait(parent context.Context) error {
	g.wg.Wait()
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(g.ctx)
}
