package state

import (
	"time"

	"damsync/internal/grant"
)

// Backlog is the work that is not done.
type Backlog struct {
	Lookups       int         // to be read, short retries included
	Urgent        grant.Class // the most urgent class among them; empty when there are none
	LookupsFailed int         // failed for now, however often they are retried
	Placements    int         // dirty or claimed, short retries included
	Waiting       int         // removals that wait for the removal guard
	Held          int         // removals that wait for approval
	Failed        int         // dirty and failed for now; or a removal that waits for suspects which cannot be read
	Undecided     int         // a rule fails on the asset, so that its placement stays as it is
}

// BacklogScope limits a backlog to what was requested up to a moment, so that it excludes later requests of others.
type BacklogScope struct {
	Targets   []string
	AssetID   string    // only this asset; empty: all
	Requested time.Time // lookups requested up to this time
	Planned   time.Time // placements planned up to this time
}
