// Package sync is the engine: it observes the CMP library into the mirror, plans what each target should hold, and
// pushes the difference. This package wires the rooms below it and holds what the commands call.
//
// Data goes one way: an observation writes the mirror and plans the changed assets in the same transaction; a dirty
// placement is work; a push makes it clean. Wake-ups are hints and the rows are the truth, so every loop can be killed
// and started at any point.
package sync

import (
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/observe"
	"damsync/sync/plan"
	"damsync/sync/push"
	"damsync/sync/rules"
	"damsync/sync/source"
	"damsync/sync/verify"
)

// Target is one configured target.
type Target struct {
	Rule    *plan.Target
	Adapter dam.Adapter
	Workers int // placements carried out at once; 4 when zero

	// Adopt takes over an object without any mark when its bytes are those of the asset. Otherwise such an
	// object is in the way and its asset waits.
	Adopt bool
	// RepairDrift repairs what a scheduled verification finds missing, changed or orphaned. Otherwise it is only
	// reported.
	RepairDrift bool
}

// Schedule holds cron specifications as robfig/cron reads them; an empty one is off.
type Schedule struct {
	Incremental string
	Audit       string // of the windows that are counted in turn; counts that differ start an audit by themselves
	Sweep       string // empty: a library that cannot be audited is swept weekly
	Verify      string
	// BackfillOrder ranks folders: when many details have to be read, those of its first folders go first.
	BackfillOrder plan.FolderOrder
}

// Options configures an Engine. Library, Stores, Instance and Targets are required.
type Options struct {
	Library  source.Library
	Stores   Stores
	Instance string // marks objects at targets as ours
	Targets  []Target
	Log      zerolog.Logger

	Schedule      Schedule
	LookupWorkers int            // assets looked up at once; 8 when zero
	SlowPoll      time.Duration  // how often work is looked for without a wake-up; 30 s when zero
	MonthLimit    int64          // requests a month less those reserved for others; bounds the suspects looked up
	Budget        observe.Budget // nil: details are not refreshed
}

// Engine runs the work. Its methods are safe for concurrent use.
type Engine struct {
	stores    Stores
	targets   []Target
	schedules schedules
	log       zerolog.Logger

	source     *source.Source
	rules      *rules.Set
	planner    *rules.Planner
	references *rules.References
	leader     *loop.Leader
	poller     *observe.Poller
	bursts     *observe.Bursts
	lookups    *observe.Lookups
	sweeper    *observe.Sweeper
	auditor    *observe.Auditor
	refresher  *observe.Refresher // nil: details are not refreshed
	pushers    []*push.Pusher
	guard      *push.Guard
	verifier   *verify.Verifier
	backlog    *backlog.Waiter
}

// New returns an engine; it starts nothing. An error names the schedule that cannot be parsed.
func New(o Options) (*Engine, error) {
	if o.LookupWorkers == 0 {
		o.LookupWorkers = 8
	}
	if o.SlowPoll == 0 {
		o.SlowPoll = 30 * time.Second
	}
	s, err := o.Schedule.parse()
	if err != nil {
		return nil, err
	}
	e := &Engine{stores: o.Stores, targets: o.Targets, schedules: s, log: o.Log, source: source.New(o.Library, o.Log)}
	e.wireRules(o)
	e.wireObservations(o)
	e.wirePushes(o)
	e.backlog = &backlog.Waiter{Store: o.Stores.Backlog, Source: e.source}
	e.wireVerifier(o)
	return e, nil
}

func (e *Engine) wireRules(o Options) {
	var configured []*plan.Target
	for _, t := range o.Targets {
		configured = append(configured, t.Rule)
	}
	e.rules = rules.NewSet(configured, o.Schedule.BackfillOrder, e.rulesChanged)
	e.planner = &rules.Planner{
		Rules: e.rules, Store: o.Stores.Plan, SlowPoll: o.SlowPoll, Log: o.Log,
		Plan: loop.NewWakeup(), Changed: loop.NewWakeup(), Expiry: loop.NewWakeup(),
	}
	e.leader = &loop.Leader{Store: o.Stores.Lease, Lease: state.LeaseLeader, SlowPoll: o.SlowPoll, Delay: observe.RetryDelay, Log: o.Log}
	e.references = &rules.References{
		Library: e.source, Store: o.Stores.References, Planner: e.planner, Leading: e.leader.Leading, Wakeup: loop.NewWakeup(), Log: o.Log,
	}
}

// rulesChanged wakes everything that waits for rules.
func (e *Engine) rulesChanged() {
	for _, topic := range []state.Topic{state.TopicLookup, state.TopicPlacement, state.TopicGuard} {
		e.Wake(topic)
	}
	e.leader.Signal()
}

func (e *Engine) wireObservations(o Options) {
	m := &observe.Mirror{Store: o.Stores.Mirror, Source: e.source, Rules: e.rules, References: e.references, Log: o.Log}
	e.auditor = &observe.Auditor{Mirror: m, Audits: o.Stores.Audits, MonthLimit: o.MonthLimit, Wakeup: loop.NewWakeup()}
	e.poller = &observe.Poller{
		Mirror: m, Polls: o.Stores.Polls, RequestAudit: e.auditor.Request, Uncountable: e.auditor.Uncountable, Wakeup: loop.NewWakeup(),
	}
	e.bursts = &observe.Bursts{Mirror: m, Poller: e.poller, Lookups: o.Stores.Bursts, SlowPoll: o.SlowPoll, Wakeup: loop.NewWakeup()}
	e.lookups = &observe.Lookups{
		Mirror: m, Queue: o.Stores.Lookups, Newest: e.poller.Newest, Workers: o.LookupWorkers, SlowPoll: o.SlowPoll, Wakeup: loop.NewWakeup(),
	}
	e.sweeper = &observe.Sweeper{
		Mirror: m, Runs: o.Stores.Audits, Poller: e.poller, MonthLimit: o.MonthLimit, Uncountable: e.auditor.Uncountable,
		Fallback: e.schedules.uncountable, Wakeup: loop.NewWakeup(),
	}
	if o.Budget != nil {
		e.refresher = &observe.Refresher{Details: o.Stores.Details, Budget: o.Budget, Rules: e.rules, Log: o.Log}
	}
}

func (e *Engine) wirePushes(o Options) {
	for _, t := range o.Targets {
		e.pushers = append(e.pushers, &push.Pusher{
			Target:   push.Target{Rule: t.Rule, Adapter: t.Adapter, Workers: t.Workers, Adopt: t.Adopt},
			Instance: o.Instance, Store: o.Stores.Push, Source: e.source, Rules: e.rules, Wakeup: loop.NewWakeup(), SlowPoll: o.SlowPoll,
			Log: o.Log.With().Str("target", t.Rule.Name()).Logger(),
		})
	}
	e.guard = &push.Guard{
		Store: o.Stores.Guard, Planned: e.planner, InForce: e.rules.InForce, Wakeup: loop.NewWakeup(), SlowPoll: o.SlowPoll, Log: o.Log,
	}
}

func (e *Engine) wireVerifier(o Options) {
	e.verifier = &verify.Verifier{
		Instance: o.Instance, Runs: o.Stores.Runs, Drift: o.Stores.Drift, Repairs: o.Stores.Repairs, Planner: e.planner, Backlog: e.backlog,
		Engine: verify.Engine{Prepare: e.prepare, Working: e.working, Deferred: e.source.Deferred}, Log: o.Log,
	}
	for _, t := range o.Targets {
		e.verifier.Targets = append(e.verifier.Targets, verify.Target{Rule: t.Rule, Adapter: t.Adapter, Repair: t.RepairDrift})
	}
}

// schedules are the parsed ones; nil is off.
type schedules struct {
	incremental, audit, sweep, uncountable, verify cron.Schedule
}

func (s Schedule) parse() (parsed schedules, err error) {
	for _, one := range []struct {
		name, spec string
		to         *cron.Schedule
	}{
		{"incremental", s.Incremental, &parsed.incremental},
		{"audit", s.Audit, &parsed.audit},
		{"sweep", s.Sweep, &parsed.sweep},
		{"sweep", observe.UncountableSweep, &parsed.uncountable},
		{"verify", s.Verify, &parsed.verify},
	} {
		if *one.to, err = loop.ParseSchedule(one.name, one.spec); err != nil {
			return parsed, err
		}
	}
	return parsed, nil
}

// LibraryFailure returns why the last reading of the library failed; nil when it succeeded.
func (e *Engine) LibraryFailure() *source.Failure { return e.source.Failure() }

// Deferred returns the last refusal by the quota and reports whether it still holds.
func (e *Engine) Deferred() (*grant.Deferred, bool) { return e.source.Deferred() }
