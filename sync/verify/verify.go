// Package verify compares targets with what damsync stored there, and repairs drift.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/rules"
)

// Depth is how thoroughly a verification compares objects.
type Depth string

// The depths; each includes those before it.
const (
	DepthToken    Depth = "token"    // what the target lists: path, ownership mark, size, token
	DepthHash     Depth = "hash"     // the hash that the target itself computed
	DepthReadback Depth = "readback" // every byte, read back and hashed
)

// Depths lists the depths at which a target can be verified, the least first.
func Depths(can dam.Capabilities) []Depth {
	depths := []Depth{DepthToken}
	if can.ContentHash != "" {
		depths = append(depths, DepthHash)
	}
	if can.ReadBack {
		depths = append(depths, DepthReadback)
	}
	return depths
}

// ErrDepth is the error class of a verification at a depth that a target does not offer.
var ErrDepth = errors.New("depth not possible")

// Target is one target that can be verified.
type Target struct {
	Rule    *plan.Target
	Adapter dam.Adapter

	// Repair repairs what a scheduled verification finds missing, changed or orphaned. Otherwise it is only
	// reported.
	Repair bool
}

// Options specifies a verification.
type Options struct {
	Targets     []string // all when empty
	Depth       Depth    // DepthToken when empty
	RequestedBy string

	// Repair puts missing and changed objects again, and hands orphaned ones to the removal guard. Foreign
	// objects are never touched.
	Repair bool
	// All repairs more than the target's removal_limit too, and fills a target again that lists nothing of
	// ours.
	All bool

	Progress func(Progress)
	Poll     time.Duration // how often the progress of a repair is reported; backlog.Poll when zero
}

// Progress is the progress of a verification.
type Progress struct {
	Target  string
	Listed  int64 // objects of ours that the target has listed so far
	Placed  int   // objects that it should have
	Bytes   int64 // read back
	Drift   int64 // found
	Backlog *state.Backlog
}

// TargetResult is the outcome for one target.
type TargetResult struct {
	state.Verification
	// Unproven counts objects whose bytes could not be compared at the requested depth, since the target gives
	// no hash of them.
	Unproven int64
	Repaired int64 // will be put again
	Retired  int64 // handed to the removal guard
	// Err is why the target could not be verified; nothing is inferred then. A *RepairHeld means that it was
	// verified and its repair waits for approval.
	Err error
}

// Result is the outcome of a verification.
type Result struct {
	Targets []TargetResult
	Backlog state.Backlog // after a repair
}

// RepairHeld is the error of a repair that would write more objects than is allowed without asking.
type RepairHeld struct {
	Target    string
	Differing int64 // missing and changed
	Allowed   int64
}

func (e *RepairHeld) Error() string {
	return fmt.Sprintf("%d objects at %s are missing or changed, and removal_limit allows to write %d without asking: see report.drift in the database, then damsync verify --target %s --repair --all",
		e.Differing, e.Target, e.Allowed, e.Target)
}

// EmptyTargetError is the error of a target that lists nothing of ours where there should be something: a wrong bucket,
// or a disk that is not mounted. Nothing is inferred from that.
type EmptyTargetError struct {
	Target string
	Placed int
}

func (e *EmptyTargetError) Error() string {
	return fmt.Sprintf("target %s lists nothing of ours, and %d objects should be there: is it the right place, and mounted? If it was emptied on purpose: damsync verify --target %s --repair --all",
		e.Target, e.Placed, e.Target)
}

// RunStore records verifications as runs.
type RunStore interface {
	loop.ObservationStore
	BeginObservation(ctx context.Context, kind string) error
	EndObservation(ctx context.Context, kind string, cursor json.RawMessage, failure string) error
	StartRun(ctx context.Context, kind, requestedBy string, lease, resumable time.Duration) (state.Run, error)
	RecordProgress(ctx context.Context, run state.Run, p state.Progress, lease time.Duration) error
	FinishRun(ctx context.Context, run state.Run, class grant.Class) (int, error)
	FailRun(ctx context.Context, run state.Run, reason string) error
}

// DriftStore returns what was put at targets and records the drift.
type DriftStore interface {
	HasPlacements(ctx context.Context, target string) (bool, error)
	HeldPaths(ctx context.Context, w state.Work) ([]string, error)
	Placed(ctx context.Context, target string, ids []string) (map[string]state.Placed, error)
	CountPlaced(ctx context.Context, target string) (int, error)
	NoteListed(ctx context.Context, run state.Run, target string, ids []string) error
	Unlisted(ctx context.Context, run state.Run, target, after string, limit int) ([]string, error)
	ClaimedInMotion(ctx context.Context, run state.Run, target string, paths []string) (map[string]bool, error)
	NoteToken(ctx context.Context, target string, p state.Placed, token string) error
	AddDrift(ctx context.Context, run state.Run, target string, found []state.Drift) error
	Drifted(ctx context.Context, run state.Run, target string, after int64, limit int) (found []state.Drift, last int64, err error)
	EndVerification(ctx context.Context, v state.Verification) error
}

// RepairStore turns what verifications find into work.
type RepairStore interface {
	Repair(ctx context.Context, run state.Run, target string, found []state.Drift) (int64, error)
	RetireOrphans(ctx context.Context, run state.Run, target, reason string, found []state.Drift) (retired, wanted int64, err error)
	ForgetTarget(ctx context.Context, target string) (int64, error)
	Unmirrored(ctx context.Context, ids []string) ([]string, error)
	PendingLookups(ctx context.Context, ids []string) (int, error)
	RequestLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error
}

// Engine is what a repair by hand needs of the engine.
type Engine struct {
	Prepare  func(context.Context) error // reads folders, labels and fields, and plans what is stale
	Working  func(ctx context.Context, targets []string, do func(context.Context) error) error
	Deferred func() (*grant.Deferred, bool)
}

// Verifier verifies targets. Its methods are safe for concurrent use.
type Verifier struct {
	Targets  []Target
	Instance string // marks objects at targets as ours
	Runs     RunStore
	Drift    DriftStore
	Repairs  RepairStore
	Planner  *rules.Planner
	Backlog  *backlog.Waiter
	Engine   Engine
	Log      zerolog.Logger
}

// Verify compares what targets list with what was put there. The drift found is recorded and replaces that of the last
// verification. With Repair it returns when the resulting work is done. A target's error is in its part of the result
// and does not keep the others from being verified. state.ErrRunning: another process is verifying. ErrDepth: nothing
// was begun.
func (v *Verifier) Verify(ctx context.Context, o Options) (Result, error) {
	targets, err := v.verifiable(&o)
	if err != nil {
		return Result{}, err
	}
	run, result, err := v.run(ctx, targets, o)
	if err != nil || !o.Repair {
		return result, err
	}
	err = v.repairAndWait(ctx, run, targets, &result, o)
	return result, err
}

// verifiable returns the requested targets and completes the options.
func (v *Verifier) verifiable(o *Options) ([]Target, error) {
	if o.Depth == "" {
		o.Depth = DepthToken
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	var targets []Target
	var problems []error
	for _, t := range v.Targets {
		name := t.Rule.Name()
		if len(o.Targets) > 0 && !slices.Contains(o.Targets, name) {
			continue
		}
		if depths := Depths(t.Adapter.Describe()); !slices.Contains(depths, o.Depth) {
			problems = append(problems, fmt.Errorf("target %s can be verified at depth %q, not %s: %w", name, depths, o.Depth, ErrDepth))
		}
		targets = append(targets, t)
	}
	return targets, errors.Join(problems...)
}
