package state

import (
	"errors"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
)

// Error classes of the store that the engine acts upon.
var (
	// ErrRunning: another process is doing this run just now.
	ErrRunning = errors.New("already running in another process")
	// ErrLeaseLost: the outcome came after another worker had taken the work
	// over. Nothing is recorded.
	ErrLeaseLost = errors.New("lease lost: another worker has taken over")
	// ErrMirrored: an asset was read where an event says that it is, and the mirror has
	// come to have it since. It has to be read where the mirror says.
	ErrMirrored = errors.New("the mirror has come to have the asset while it was read")
	// ErrSpoiltMark: a generation found at a target is so high that no
	// database of this instance has given it out.
	ErrSpoiltMark = errors.New("the mark at the target names a generation that damsync has never given out")
	// ErrEmptyListing: a listing came back empty while the mirror has rows, an
	// upstream in trouble, from which nothing is inferred.
	ErrEmptyListing = errors.New("the library listed nothing where the mirror has entries")
)

// LeaseLeader names the lease of the replica that observes the library.
const LeaseLeader = "leader"

// Topic is the kind of work that a wake-up is about. A wake-up is a hint: a process that misses one finds the
// work at the next slow poll.
type Topic string

// The topics.
const (
	TopicLookup     Topic = "lookup"     // an asset has to be read
	TopicPlacement  Topic = "placement"  // a placement is dirty
	TopicGate       Topic = "guard"      // a removal waits for the removal guard
	TopicPlan       Topic = "plan"       // a target has to be planned anew
	TopicBurst      Topic = "burst"      // events are held back for the poll
	TopicReferences Topic = "references" // folders, labels or fields seem to have changed
)

// Topics lists all of them.
func Topics() []Topic {
	return []Topic{TopicLookup, TopicPlacement, TopicGate, TopicPlan, TopicBurst, TopicReferences}
}

// GateAnswer is what becomes of the removals that wait at a target.
type GateAnswer string

// The answers.
const (
	GateRelease GateAnswer = "open"
	GateHold    GateAnswer = "held"
	GateWait    GateAnswer = "waiting"
)

// Ref names an asset that somebody wants read.
type Ref struct {
	ID, Type, Self string
}

// References is the whole of what assets refer to.
type References struct {
	Folders     []library.Folder
	LabelGroups []library.LabelGroup
	Fields      []library.FieldDefinition // nil when not read
}

// ReferencesApplied is what a reading of References did.
type ReferencesApplied struct {
	Changed bool
	// Kept names the sets, in the plural, that were listed empty and are kept as they
	// were because assets of the mirror refer to them.
	Kept []string
}

// Names is what a rule may refer to.
type Names struct {
	Folders map[string]bool            // by path
	Labels  map[string]map[string]bool // group name to value names
	// LabelNames is by id, of groups and of values: what assets carry under an older
	// name is told by it. Only the mirror's has it.
	LabelNames map[string]string
	Fields     map[string]bool // by name
}

// HeldRemoval is one removal that waits for approval.
type HeldRemoval struct {
	AssetID, Title, Path, Reason string
}

// HeldWave is what waits for approval at a target as it was when somebody looked.
type HeldWave struct {
	First []HeldRemoval // ordered by path, for people
	// All of it, for the approval of exactly this.
	AssetIDs    []string
	Generations []int64 // by the same index
}

// RunTotals is what a run has done so far, also before it was resumed.
type RunTotals struct {
	Requests, Seen, Changed, Suspects int64
}

// Backlog is the work that is not done.
type Backlog struct {
	Lookups       int         // to be read, short retries included
	Urgent        grant.Class // of these the most urgent one; empty: there are none
	LookupsFailed int         // failed for now, however often that is tried again
	Placements    int         // dirty and on their way, short retries included
	Waiting       int         // removals at the gate
	Held          int         // removals that wait for approval
	Failed        int         // dirty, failed for now; or a removal that waits for the word on assets which cannot be read
	Undecided     int         // a rule fails on the asset, so that its placement stays as it is
}

// BacklogScope says of what the backlog is counted: what was asked for up to a moment, so that what
// others go on asking for is none of it.
type BacklogScope struct {
	Targets []string
	AssetID string    // only this asset; empty: all
	Wanted  time.Time // lookups that were wanted up to then
	Planned time.Time // placements that were planned up to then
}

// NamesOf collects the names of a library as read.
func NamesOf(folders []library.Folder, groups []library.LabelGroup, fields []library.FieldDefinition) Names {
	n := Names{Folders: map[string]bool{}, Labels: map[string]map[string]bool{}, Fields: map[string]bool{}}
	for _, f := range folders {
		n.Folders[f.Path] = true
	}
	for _, g := range groups {
		n.Labels[g.Name] = map[string]bool{}
		for _, v := range g.Values {
			n.Labels[g.Name][v.Name] = true
		}
	}
	for _, f := range fields {
		n.Fields[f.Name] = true
	}
	return n
}
