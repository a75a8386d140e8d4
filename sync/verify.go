package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"damsync/dam"
	"damsync/internal/state"
)

// Depth says how closely a verification looks at what a target holds.
type Depth string

// The depths; each includes those before it.
const (
	DepthToken    Depth = "token"    // what the target lists: path, mark, size, token
	DepthHash     Depth = "hash"     // the hash that the target itself computed
	DepthReadback Depth = "readback" // every byte, read back and hashed
)

// Depths lists the depths that a target can be verified at, the least first.
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

// ErrDepth is the error class of a verification that a target cannot be put to.
var ErrDepth = errors.New("depth not possible")

// VerifyOptions says what to hold against what was put.
type VerifyOptions struct {
	Targets     []string // all when empty
	Depth       Depth    // DepthToken when empty
	RequestedBy string

	// Repair puts what is missing or changed again, and has the removal gate
	// judge what is orphaned. What is foreign is never touched.
	Repair bool
	// All repairs also what is more than the target's removal_limit, and fills
	// a target anew that lists nothing of ours.
	All bool

	Progress func(VerifyProgress)
	Poll     time.Duration // how often progress of a repair is told; 500 ms when zero
}

// VerifyProgress is how far a verification got.
type VerifyProgress struct {
	Target  string
	Listed  int64 // objects of ours that the target has listed so far
	Placed  int   // that it should have
	Bytes   int64 // read back
	Drift   int64 // found
	Backlog *state.Backlog
}

// TargetVerification is what became of one target.
type TargetVerification struct {
	state.Verification
	// Unproven counts objects whose bytes could not be judged at the depth
	// asked for, since the target gives no hash of them.
	Unproven int64
	Repaired int64 // made dirty, or planned anew, so that they are put again
	Retired  int64 // given to the removal gate
	// Err says why the target could not be verified; nothing is inferred then.
	// *RepairHeld: it was verified, and repairing it waits for a person.
	Err error
}

// VerifyResult is what a verification left behind.
type VerifyResult struct {
	Targets []TargetVerification
	Backlog state.Backlog // of a repair
}

// RepairHeld says that more is missing or changed than is repaired without asking.
type RepairHeld struct {
	Target    string
	Differing int64 // missing and changed
	Allowed   int64
}

func (e *RepairHeld) Error() string {
	return fmt.Sprintf("%d objects at %s are missing or changed, and removal_limit allows to write %d over without asking: see report.drift in the database, then damsync verify --target %s --repair --all",
		e.Differing, e.Target, e.Allowed, e.Target)
}

// EmptyTargetError says that a target lists nothing of ours where there should be
// something: a wrong bucket or a disk that is not mounted, from which nothing is
// inferred.
type EmptyTargetError struct {
	Target string
	Placed int
}

func (e *EmptyTargetError) Error() string {
	return fmt.Sprintf("target %s lists nothing of ours, %d objects should be there: is it the right place, and mounted? If somebody has emptied it: damsync verify --target %s --repair --all",
		e.Target, e.Placed, e.Target)
}

// DriftStore records what verifications find.
type DriftStore interface {
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

// RepairStore makes work of what verifications find.
type RepairStore interface {
	Repair(ctx context.Context, run state.Run, target string, found []state.Drift) (int64, error)
	RetireOrphans(ctx context.Context, run state.Run, target, reason string, found []state.Drift) (retired, wanted int64, err error)
	ForgetTarget(ctx context.Context, target string) (int64, error)
	Unmirrored(ctx context.Context, ids []string) ([]string, error)
	PendingLookups(ctx context.Context, ids []string) (int, error)
}

// Verify lists targets and holds what they have against what was put there. The drift
// found is recorded, and replaces that of the last verification. With Repair it
// returns when the work this caused is done. Targets do not wait for each other's
// trouble: an error of one is in its part of the result. state.ErrRunning: another
// process verifies just now. ErrDepth: nothing was begun.
func (e *Engine) Verify(ctx context.Context, o VerifyOptions) (VerifyResult, error) {
	targets, err := e.verifiable(&o)
	if err != nil {
		return VerifyResult{}, err
	}
	run, result, err := e.verifyRun(ctx, targets, o)
	if err != nil || !o.Repair {
		return result, err
	}
	err = e.repairAndWait(ctx, run, targets, &result, o)
	return result, err
}

// verifiable gives the targets asked for and completes the options.
func (e *Engine) verifiable(o *VerifyOptions) ([]Target, error) {
	if o.Depth == "" {
		o.Depth = DepthToken
	}
	if o.Progress == nil {
		o.Progress = func(VerifyProgress) {}
	}
	if o.Poll == 0 {
		o.Poll = drainPoll
	}
	var targets []Target
	var problems []error
	for _, t := range e.targets {
		name := t.Rule.Name()
		if len(o.Targets) > 0 && !slices.Contains(o.Targets, name) {
			continue
		}
		if depths := Depths(t.Adapter.Describe()); !slices.Contains(depths, o.Depth) {
			problems = append(problems, fmt.Errorf("target %s cannot be verified to depth %s, but to %q: %w", name, o.Depth, depths, ErrDepth))
		}
		targets = append(targets, t)
	}
	return targets, errors.Join(problems...)
}

// verifyRun verifies targets one after the other, as one run that replicas share.
func (e *Engine) verifyRun(ctx context.Context, targets []Target, o VerifyOptions) (state.Run, VerifyResult, error) {
	var result VerifyResult
	run, err := e.startVerify(ctx, o.RequestedBy)
	if err != nil {
		return run, result, err
	}
	counted := &verifyCounters{}
	leased, stop := e.keepRun(ctx, run, counted)
	for _, t := range targets {
		v := verifying{e: e, run: run, target: t, o: o, counted: counted}
		tv, err := v.verify(leased)
		if tv.Err = err; err != nil && leased.Err() != nil {
			break
		}
		result.Targets = append(result.Targets, tv)
	}
	err = context.Cause(leased)
	stop()
	return run, result, errors.Join(err, e.endVerify(ctx, run, result, err, counted))
}

// startVerify begins a run. One that a killed process left is given up: what it
// had seen of a list proves nothing now.
func (e *Engine) startVerify(ctx context.Context, requestedBy string) (state.Run, error) {
	run, err := e.store.StartRun(ctx, state.KindVerify, requestedBy, runLease)
	if err != nil || !run.Resumed {
		return run, err
	}
	if err := e.store.FailRun(ctx, run, "its process has ended"); err != nil {
		return run, err
	}
	return e.store.StartRun(ctx, state.KindVerify, requestedBy, runLease)
}

// endVerify closes the run, also when ctx has ended.
func (e *Engine) endVerify(ctx context.Context, run state.Run, result VerifyResult, failure error, counted *verifyCounters) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if errors.Is(failure, state.ErrLeaseLost) {
		return nil
	}
	reasons := []error{failure}
	for _, t := range result.Targets {
		if t.Err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", t.Target, t.Err))
		}
	}
	if err := e.recordVerify(ctx, run, counted); err != nil {
		return err
	}
	if err := errors.Join(reasons...); err != nil {
		return e.store.FailRun(ctx, run, err.Error())
	}
	_, err := e.store.FinishRun(ctx, run, "")
	return err
}
