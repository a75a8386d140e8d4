package sync

import (
	"context"
	"encoding/json"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// Reader reads the library; *cmp.Client is one.
type Reader interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
	Asset(ctx context.Context, ref cmp.Ref) (cmp.AssetDetail, error)
	Fields(ctx context.Context, assetID string) (library.Fields, error)
}

// ReferenceReader reads what assets refer to.
type ReferenceReader interface {
	Folders(ctx context.Context) ([]library.Folder, error)
	LabelGroups(ctx context.Context) ([]library.LabelGroup, error)
	FieldDefinitions(ctx context.Context) ([]library.FieldDefinition, error)
}

// Downloader fetches bytes.
type Downloader interface {
	FileURLs(ctx context.Context, ids []string) (map[string]library.DownloadURL, error)
	Download(ctx context.Context, u library.DownloadURL, from int64) (*cmp.Download, error)
}

// Library is the CMP as the engine sees it.
type Library interface {
	Reader
	ReferenceReader
	Downloader
}

// MirrorStore writes what was observed and plans it in the same transaction.
type MirrorStore interface {
	Now(ctx context.Context) (time.Time, error)
	ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, decide state.Decide) (state.Applied, error)
	ApplyReferences(ctx context.Context, obs state.Observation, refs state.References) (state.ReferencesApplied, error)
	Names(ctx context.Context) (state.Names, error)
	CountAssets(ctx context.Context) (int, error)
	Missing(ctx context.Context, above, upTo time.Time, inclusive bool, seen []string, readAt time.Time) ([]string, error)
	FolderPath(ctx context.Context, id string) (string, error)
}

// AuditStore counts the mirror by windows of created_at, from a time on and before another, zero when open,
// and keeps what audits found.
type AuditStore interface {
	CountWindow(ctx context.Context, from, to time.Time) (int, error)
	NthCreated(ctx context.Context, from, to time.Time, n int) (time.Time, error)
	WindowRows(ctx context.Context, from, to time.Time) ([]state.WindowRow, error)
	SaveAudit(ctx context.Context, runID int64, a state.Audit) error
	AuditWindows(ctx context.Context) ([]state.AuditWindow, error)
	ReplaceAuditWindows(ctx context.Context, old, windows []state.AuditWindow) error
	CountOpenLookups(ctx context.Context, most int) (int, error)
}

// LookupStore holds the assets that have to be read singly.
type LookupStore interface {
	WantLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error
	WantUnsettled(ctx context.Context, obs state.Observation, age time.Duration) (int, error)
	ClaimLookups(ctx context.Context, n int, lease time.Duration, except ...grant.Class) ([]state.Lookup, error)
	NextLookup(ctx context.Context, except ...grant.Class) (time.Duration, bool, error)
	ExtendLookup(ctx context.Context, l state.Lookup, lease time.Duration) error
	ApplyReading(ctx context.Context, l state.Lookup, r state.Reading, decide state.Decide) (state.Applied, error)
	ApplyGone(ctx context.Context, l state.Lookup, readAt time.Time, decide state.Decide) error
	FailLookup(ctx context.Context, l state.Lookup, class, reason string, after time.Duration, counts bool) error
	BurstStore
}

// BurstStore lets pages of the poll answer what events ask for, and tells what events told.
type BurstStore interface {
	HeldBack(ctx context.Context) (state.Burst, error)
	HoldLookups(ctx context.Context, askedAt time.Time, d time.Duration) (int, error)
	AnswerLookups(ctx context.Context, readAt time.Time, ids []string, decide state.Decide) (state.Answered, error)
	ReleaseLookups(ctx context.Context, askedAt time.Time) error
	Announced(ctx context.Context, from, upTo time.Time, before, after time.Duration) (state.Announcement, error)
}

// RunStore keeps how far observations got.
type RunStore interface {
	StartRun(ctx context.Context, kind, requestedBy string, lease time.Duration) (state.Run, error)
	RecordProgress(ctx context.Context, run state.Run, p state.Progress, lease time.Duration) error
	RunTotals(ctx context.Context, id int64) (state.RunTotals, error)
	FinishRun(ctx context.Context, run state.Run, class grant.Class) (int, error)
	FailRun(ctx context.Context, run state.Run, reason string) error
	LeaveRun(ctx context.Context, run state.Run) error
	HasRunning(ctx context.Context, kind string) (bool, error)
	Observation(ctx context.Context, kind string) (state.ObservationState, error)
	BeginObservation(ctx context.Context, kind string) error
	EndObservation(ctx context.Context, kind string, cursor json.RawMessage, failure string) error
}

// PlanStore judges many assets at once.
type PlanStore interface {
	Epoch(ctx context.Context) (int64, error)
	TargetPlan(ctx context.Context, target string) (state.TargetPlan, error)
	SetTargetPlanned(ctx context.Context, target string, fingerprint []byte, epoch int64) error
	SetTargetProblem(ctx context.Context, target, problem string) error
	PlanNext(ctx context.Context, obs state.Observation, after string, limit int, decide state.Decide) (string, error)
	PlanAssets(ctx context.Context, obs state.Observation, ids []string, decide state.Decide) error
	Preview(ctx context.Context, decide state.Decide, see func(state.Known, state.Verdict) error) error
	Expired(ctx context.Context, targets []string, limit int) (ids []string, next time.Time, err error)
	KnownAssets(ctx context.Context, ids []string) (time.Time, []state.Known, error)
	Differing(ctx context.Context, rows []library.Asset) ([]library.Asset, error)
}

// PlacementStore hands out dirty placements and records what became of them.
type PlacementStore interface {
	ClaimPlacements(ctx context.Context, target string, n int, lease time.Duration) ([]state.Work, error)
	NextPlacement(ctx context.Context, target string) (time.Duration, bool, error)
	RaiseGeneration(ctx context.Context, w state.Work, above int64) error
	UpcomingPuts(ctx context.Context, target string, n int) ([]string, error)
	ExtendPlacement(ctx context.Context, w state.Work, lease time.Duration) error
	RecordStep(ctx context.Context, w state.Work, o state.Object) error
	SaveUpload(ctx context.Context, w state.Work, u state.Upload) error
	FinishPlacement(ctx context.Context, w state.Work, o state.Object) error
	FailPlacement(ctx context.Context, w state.Work, class, reason string, after time.Duration, closed bool) error
	ReturnPlacement(ctx context.Context, w state.Work, after time.Duration) error
	PauseTarget(ctx context.Context, target, reason string, least time.Duration) (time.Duration, error)
	HasPlacements(ctx context.Context, target string) (bool, error)
	Backlog(ctx context.Context, scope state.BacklogScope) (state.Backlog, error)
}

// PathStore says which asset holds a path at a target.
type PathStore interface {
	ClaimPath(ctx context.Context, w state.Work, path string) (holder string, leaving bool, err error)
	PathWanted(ctx context.Context, w state.Work) (bool, error)
	HeldPaths(ctx context.Context, w state.Work) ([]string, error)
	ReleasePaths(ctx context.Context, w state.Work, keep string) error
}

// GateStore judges removals.
type GateStore interface {
	JudgeRemovals(ctx context.Context, target string, judge state.Judge) (state.Wave, state.GateAnswer, error)
}

// LeaseStore is what replicas agree by.
type LeaseStore interface {
	AcquireLease(ctx context.Context, name string, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, name string) error
	Listen(ctx context.Context, wake func(state.Topic)) error
	Notify(ctx context.Context, topic state.Topic) error
	PruneInbox(ctx context.Context, olderThan time.Duration) (int64, error)
}
