package state

import "time"

// WindowRow is a living asset of the mirror, as far as an audit needs it.
type WindowRow struct {
	ID                    string
	CreatedAt, ModifiedAt time.Time
}

// The scopes of audits.
const (
	AuditLibrary = "library" // the whole library, down to what differs
	AuditWindows = "windows" // the windows whose turn it is
)

// Audit is what an audit found.
type Audit struct {
	Scope      string
	Windows    int       // counted
	Missing    int       // in the mirror, not listed by the library
	Extra      int       // listed by the library, not in the mirror before
	Hidden     int       // counted by the library, not listed
	Suspects   int       // of the missing, those to be confirmed by their own 404
	CompleteAt time.Time // everything in the library then is in the mirror or a suspect; zero: not known
	Notes      []string
}

// AuditWindow is a window of created_at that audits count in turn. Its bounds are whole seconds, both inclusive and
// zero when open. Other zero times: not yet.
type AuditWindow struct {
	From, To  time.Time
	CountedAt time.Time
	Page      int    // offset of the next page to read
	LastID    string // of the last asset read in this cycle
	LastAt    time.Time
	CycleAt   time.Time // start of this cycle
	ReadSince time.Time // start of the last finished cycle
}
