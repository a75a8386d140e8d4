package state

// The kinds of observation, as runs, the change log, report.freshness and status name them.
const (
	KindWebhook      = "webhook"
	KindIncremental  = "incremental" // the poll
	KindSweep        = "sweep"
	KindAudit        = "audit"         // of the whole library
	KindAuditWindows = "audit_windows" // of the windows counted in turn
	KindDetail       = "detail"        // of an asset whose bytes go on failing
	KindRefresh      = "refresh"       // details and fields read again
	KindReferences   = "references"    // folders, labels and fields
	KindResync       = "resync"        // by hand
	KindVerify       = "verify"        // of what targets hold
	KindPlan         = "plan"          // no reading: all assets are judged anew
	KindExpiry       = "expiry"        // no reading: an expiry date has come
)
