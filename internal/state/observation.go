package state

import (
	"encoding/json"
	"time"

	"damsync/internal/grant"
)

// The kinds of observation, as runs, the change log, report.freshness and status name them.
const (
	KindWebhook      = "webhook"
	KindIncremental  = "incremental" // the poll
	KindSweep        = "sweep"
	KindAudit        = "audit"         // of the whole library
	KindAuditWindows = "audit_windows" // of the windows that are counted in turn
	KindDetail       = "detail"        // of an asset whose download keeps failing
	KindRefresh      = "refresh"       // details and fields read again
	KindReferences   = "references"    // folders, labels and fields
	KindResync       = "resync"        // requested by a person
	KindVerify       = "verify"        // of what targets hold
	KindPlan         = "plan"          // reads nothing: all assets are planned again
	KindExpiry       = "expiry"        // reads nothing: an expiry date has passed
)

// Observation identifies the reading of the library that saw something.
type Observation struct {
	Kind  string // KindWebhook and the like
	RunID int64  // 0 outside a run
	// Class is the class of the requests it spends. What it plans is pushed with the same urgency.
	Class grant.Class
	// Bulk marks a reading that sees many assets for the first time, or under new rules. Details that it needs are
	// read as backfill, in the order of Decisions.Rank.
	Bulk bool
}

// ObservationState is what one kind of observation last did.
type ObservationState struct {
	Cursor      json.RawMessage
	LastAttempt time.Time // zero when never
	LastSuccess time.Time // zero when never
}
