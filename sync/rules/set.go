// Package rules holds the target rules in force: which of them run, what they decide about an asset, planning all
// assets under a changed rule, expiry, and the folders, labels and fields that rules refer to.
package rules

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Set is the set of target rules in force. A rule runs once every name it refers to is known to the library. Its
// methods are safe for concurrent use.
type Set struct {
	configured []*plan.Target
	backfill   plan.FolderOrder
	changed    func()

	active  atomic.Pointer[ruleSet] // nil until the names that rules refer to are known
	writing sync.RWMutex            // read-held while something is written under the rules
}

// ruleSet is the set of target rules in force, with the label names they resolve to.
type ruleSet struct {
	rules  []*plan.Target
	labels map[string]string // current names of label groups and values, by id
}

// NewSet returns a set in which no rule runs yet. backfill orders the assets whose details are read in bulk. changed
// is called after the rules in force have changed.
func NewSet(configured []*plan.Target, backfill plan.FolderOrder, changed func()) *Set {
	return &Set{configured: configured, backfill: backfill, changed: changed}
}

// Configured lists all rules, including those that do not run.
func (s *Set) Configured() []*plan.Target { return s.configured }

// Known reports whether the rules in force are known. Planning an asset before that would be useless.
func (s *Set) Known() bool { return s.active.Load() != nil }

// InForce lists the rules that run.
func (s *Set) InForce() []*plan.Target {
	if active := s.active.Load(); active != nil {
		return active.rules
	}
	return nil
}

// Runs reports whether a rule is in force.
func (s *Set) Runs(rule *plan.Target) bool { return slices.Contains(s.InForce(), rule) }

// ReadsFields reports whether any configured rule reads custom fields.
func (s *Set) ReadsFields() bool {
	return slices.ContainsFunc(s.configured, func(r *plan.Target) bool { return r.Level() == library.LevelFields })
}

// Evaluate returns what the rules in force decide about an asset. It depends only on its arguments and these rules.
func (s *Set) Evaluate(now time.Time, k state.Snapshot) state.Decisions {
	return s.evaluate(s.InForce(), now, k)
}

func (s *Set) evaluate(rules []*plan.Target, now time.Time, k state.Snapshot) state.Decisions {
	v := evaluate(rules, s.labelNames(), now, k)
	if v.Needs > library.LevelSummary {
		v.Rank = s.backfill.Rank(k.Folder)
	}
	return v
}

// Write runs write while the rules are locked, so that planning all assets after a rule change never misses rows
// written under the old rules.
func (s *Set) Write(write func() error) error {
	s.writing.RLock()
	defer s.writing.RUnlock()
	return write()
}

// labelNames maps label group and value ids to their current names. Assets keep the old label name until they are
// read again; without this mapping a rename would deselect all of them.
func (s *Set) labelNames() map[string]string {
	if active := s.active.Load(); active != nil {
		return active.labels
	}
	return nil
}

// activate puts the rules without a problem in force. It returns the rules that run now and did not while others
// did.
func (s *Set) activate(problems, labels map[string]string) (gained []*plan.Target) {
	rules := make([]*plan.Target, 0, len(s.configured))
	for _, r := range s.configured {
		if problems[r.Name()] == "" {
			rules = append(rules, r)
		}
	}
	before := s.active.Load()
	if before != nil && slices.Equal(before.rules, rules) && maps.Equal(before.labels, labels) {
		return nil
	}
	s.writing.Lock()
	s.active.Store(&ruleSet{rules: rules, labels: labels})
	s.writing.Unlock()
	s.changed()
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r *plan.Target) bool { return slices.Contains(before.rules, r) })
}
