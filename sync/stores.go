package sync

import (
	"context"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/backlog"
	"damsync/sync/loop"
	"damsync/sync/observe"
	"damsync/sync/push"
	"damsync/sync/rules"
	"damsync/sync/verify"
)

// Stores is PostgreSQL as the rooms of the engine see it: each declares what it needs, and *store.Store is all of it.
type Stores struct {
	Lease      loop.LeaseStore
	Wakeups    WakeupStore
	Plan       rules.PlanStore
	References rules.ReferenceStore
	Preview    PreviewStore

	Mirror  observe.MirrorStore
	Polls   observe.PollStore
	Bursts  observe.BurstStore
	Lookups observe.LookupStore
	Audits  observe.AuditStore
	Details observe.DetailStore

	Push    push.Store
	Guard   push.GuardStore
	Backlog backlog.Store
	Runs    verify.RunStore
	Drift   verify.DriftStore
	Repairs verify.RepairStore
}

// WakeupStore carries wake-ups between processes and prunes the inbox.
type WakeupStore interface {
	// Listen calls wake for what other processes and transactions did, until ctx ends.
	Listen(ctx context.Context, wake func(state.Topic)) error
	PruneInbox(ctx context.Context, olderThan time.Duration) (int64, error)
}

// PreviewStore evaluates assets without writing.
type PreviewStore interface {
	Now(ctx context.Context) (time.Time, error)
	Preview(ctx context.Context, evaluate state.Evaluate, see func(state.Snapshot, state.Decisions) error) error
	Snapshots(ctx context.Context, ids []string) (time.Time, []state.Snapshot, error)
	Differing(ctx context.Context, rows []library.Asset) ([]library.Asset, error)
	Missing(ctx context.Context, in state.Span, seen []string, readAt time.Time) ([]string, error)
}
