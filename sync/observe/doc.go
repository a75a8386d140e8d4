// Package observe reads the library into the mirror: lookups of single assets, the poll and the bursts of events that
// it answers, the sweep, audits, and the refresh of details. Every observation writes the mirror and plans what
// changed in one transaction.
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/loop"
	"damsync/sync/source"
	"damsync/sync/walk"
)

const (
	// pageSize is the most rows that the CMP returns for a request.
	pageSize = walk.PageSize
	// runLease is how long a run of a killed process waits before another process takes it.
	runLease = 30 * time.Second
	// overlap is the time range that each poll reads again, because rows may become visible late.
	overlap = 300 * time.Second
)

// ObservationStore records when observations ran and their cursors.
type ObservationStore interface {
	loop.ObservationStore
	BeginObservation(ctx context.Context, kind string) error
	EndObservation(ctx context.Context, kind string, cursor json.RawMessage, failure string) error
}

// RunStore records the runs of observations. A run has one owner at a time.
type RunStore interface {
	StartRun(ctx context.Context, kind, requestedBy string, lease, resumable time.Duration) (state.Run, error)
	RecordProgress(ctx context.Context, run state.Run, p state.Progress, lease time.Duration) error
	RunTotals(ctx context.Context, id int64) (state.RunTotals, error)
	FinishRun(ctx context.Context, run state.Run, class grant.Class) (int, error)
	FailRun(ctx context.Context, run state.Run, reason string) error
	LeaveRun(ctx context.Context, run state.Run) error
	HasRunning(ctx context.Context, kind string) (bool, error)
}

// ErrTooManySuspects is the error class of an observation that missed so many assets that looking each one up would
// cost too much of the month. Nothing is removed.
var ErrTooManySuspects = errors.New("too many assets were not found where they should be")

// RetryDelay returns how long the leader waits after a number of failures in a row. An attempt that fails at the
// library costs requests, and a long outage must not use up the month; one that fails at the login costs none.
func RetryDelay(failures int, err error) time.Duration {
	var login *cmp.AuthError
	switch {
	case errors.As(err, &login):
		return loop.RetryDelay(failures, 30*time.Second)
	case errors.Is(err, audit.ErrUncountable):
		return loop.RetryDelay(11+failures, 12*time.Hour) // it will not change soon, and each attempt costs requests
	case errors.Is(err, ErrTooManySuspects):
		return loop.RetryDelay(8+failures, 12*time.Hour) // each attempt costs a whole sweep
	case atLibrary(err):
		return loop.RetryDelay(failures, 5*time.Minute)
	default:
		return loop.RetryDelay(failures, 30*time.Second)
	}
}

// atLibrary reports whether a failure is the CMP's rather than the database's.
func atLibrary(err error) bool {
	for _, class := range []error{
		cmp.ErrTemporary, cmp.ErrAuth, cmp.ErrForbidden, cmp.ErrNotFound, cmp.ErrBareNotFound, cmp.ErrBadRequest, cmp.ErrForeignHost, walk.ErrUnstable, state.ErrEmptyListing,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// suspectLimit is the number of suspects that may be looked up after one observation: a tenth of the month's requests.
func suspectLimit(month int64) int64 {
	if month <= 0 {
		return 1 << 40
	}
	return max(month/10, 100)
}

// graceOver reports whether an answer shows every change up to the second of modified: a further change within that
// second would not move modified_at. served is the server's time of the answer, zero when unknown.
func graceOver(served, readAt, modified time.Time) bool {
	if served.IsZero() {
		served = readAt
	}
	return !served.Before(source.GraceEnd(modified))
}

// mirrored reports whether the mirror was ever filled. Before that, an audit would do the work of the first sweep.
func mirrored(swept state.ObservationState) bool { return !swept.LastSuccess.IsZero() }
