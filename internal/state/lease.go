package state

import "errors"

// ErrLeaseLost says that the outcome came after another worker had taken the work over. Nothing is recorded.
var ErrLeaseLost = errors.New("lease lost: another worker has taken over")

// LeaseLeader names the lease of the replica that observes the library.
const LeaseLeader = "leader"

// Topic is the kind of work that a wake-up is about. A wake-up is a hint: a process that misses one finds the work
// at the next slow poll.
type Topic string

// The topics.
const (
	TopicLookup     Topic = "lookup"     // an asset has to be read
	TopicPlacement  Topic = "placement"  // a placement is dirty
	TopicGuard      Topic = "guard"      // a removal waits for the removal guard
	TopicPlan       Topic = "plan"       // a target has to be planned again
	TopicBurst      Topic = "burst"      // events are held back for the poll
	TopicReferences Topic = "references" // folders, labels or fields seem to have changed
)

// Topics lists all topics.
func Topics() []Topic {
	return []Topic{TopicLookup, TopicPlacement, TopicGuard, TopicPlan, TopicBurst, TopicReferences}
}
