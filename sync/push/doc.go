// Package push carries out placements: it claims the dirty ones of a target, brings the target step by step from
// what is applied to what is desired, and records the outcome. The removal guard decides which removals may be
// carried out.
package push

import (
	"context"
	"time"

	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Target is one configured place to push to.
type Target struct {
	Rule    *plan.Target
	Adapter dam.Adapter
	Workers int // placements carried out at once; 4 when zero

	// Adopt takes over an object without any mark when its bytes are those of the asset. Otherwise such an
	// object is in the way and its asset waits.
	Adopt bool
}

// Name returns the target's name.
func (t *Target) Name() string { return t.Rule.Name() }

// Store leases dirty placements and records their outcome.
type Store interface {
	PathStore
	Now(ctx context.Context) (time.Time, error)
	ClaimPlacements(ctx context.Context, target string, n int, lease time.Duration) ([]state.Work, error)
	NextPlacement(ctx context.Context, target string) (time.Duration, bool, error)
	UpcomingPuts(ctx context.Context, target string, n int) ([]string, error)
	ExtendPlacement(ctx context.Context, w state.Work, lease time.Duration) error
	RaiseGeneration(ctx context.Context, w state.Work, above int64) error
	RecordStep(ctx context.Context, w state.Work, o state.Object) error
	SaveUpload(ctx context.Context, w state.Work, u state.Upload) error
	FinishPlacement(ctx context.Context, w state.Work, o state.Object) error
	FailPlacement(ctx context.Context, w state.Work, f state.Failure, closed bool) error
	ReturnPlacement(ctx context.Context, w state.Work, after time.Duration) error
	PauseTarget(ctx context.Context, target, reason string, least time.Duration) (time.Duration, error)
	HasPlacements(ctx context.Context, target string) (bool, error)
	RequestLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error
}

// PathStore records which asset holds a path at a target.
type PathStore interface {
	ClaimPath(ctx context.Context, w state.Work, path string) (holder string, leaving bool, err error)
	PathAwaited(ctx context.Context, w state.Work) (bool, error)
	HeldPaths(ctx context.Context, w state.Work) ([]string, error)
	ReleasePaths(ctx context.Context, w state.Work, keep string) error
}

// Rules knows which rules are in force; *rules.Set is one.
type Rules interface {
	Runs(rule *plan.Target) bool
}
