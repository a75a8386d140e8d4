package state

import "time"

// WindowRow is a living asset of the mirror, as far as an audit needs it.
type WindowRow struct {
	ID, Type, FolderID    string
	CreatedAt, ModifiedAt time.Time
}

// The scopes of audits.
const (
	AuditLibrary = "library" // the whole, down to what differs
	AuditWindows = "windows" // the windows whose turn it is
)

// Audit is what one found.
type Audit struct {
	Scope      string
	Windows    int       // counted
	Missing    int       // in the mirror and not listed
	Surplus    int       // listed and not in the mirror, where they are now
	Hidden     int       // counted and not listed
	Suspects   int       // of the missing, those to be confirmed by their own 404
	CompleteAt time.Time // what the library had then is in the mirror or a suspect; zero: not known
	Notes      []string
}

// AuditWindow is a window of created_at in whole seconds, both bounds inclusive and zero when open, that is
// counted in turn. Zero times: not yet.
type AuditWindow struct {
	From, To  time.Time
	CountedAt time.Time
	Page      int    // offset of the next page to be read
	LastID    string // of the last asset read in this cycle
	LastAt    time.Time
	CycleAt   time.Time // when this cycle began
	ReadSince time.Time // when the last finished cycle began
}
