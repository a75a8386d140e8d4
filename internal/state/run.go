package state

import (
	"encoding/json"
	"time"
)

// Run is one run of an observation.
type Run struct {
	ID        int64
	Kind      string
	Resumed   bool // went on where another process left it
	StartedAt time.Time
	Cursor    json.RawMessage
}

// Progress is what a run did since it last said so, and where it stands.
type Progress struct {
	Requests int
	Seen     int
	Changed  int
	Suspects []string // assets the mirror has that were not where they should be
	Cursor   json.RawMessage
}

// ObservationState is what one kind of observation last did.
type ObservationState struct {
	Cursor      json.RawMessage
	LastAttempt time.Time // zero when never
	LastSuccess time.Time // zero when never
}

// Wave is what the removal gate sees of one target.
type Wave struct {
	Waiting   int
	Held      int
	Suspects  int           // reported or found missing, not yet confirmed
	Recent    int           // let through in the last minute
	Present   int           // objects now at the target, up to as many as matter
	NewestAge time.Duration // since the newest waiting removal was planned
}

// Judge is what the gate asks of a wave.
type Judge struct {
	Enough func(Wave) int // how many objects at the target matter; Present is not known yet
	Admit  func(Wave) GateAnswer
}

// TargetPlan says how far a target is planned.
type TargetPlan struct {
	Name        string
	Fingerprint []byte
	Epoch       int64
	Problem     string
}
