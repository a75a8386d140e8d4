package rules

import (
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Cost counts the requests beyond the summaries that reading all assets again would take.
type Cost struct {
	Assets  int // in the mirror, without the removed ones
	Reads       // by any target
	Targets []TargetCost

	rules  []*plan.Target
	labels map[string]string
}

// TargetCost is the part of one target in a Cost, with the configuration keys that cause it.
type TargetCost struct {
	Name string
	Reads
	Needs []plan.Need
}

// Reads counts assets by the levels that are read of them, one request for each.
type Reads struct {
	Details int
	Fields  int // an upper bound while details are unread
}

func (r *Reads) add(level library.Level) {
	if level >= library.LevelDetail {
		r.Details++
	}
	if level >= library.LevelFields {
		r.Fields++
	}
}

// NewCost returns an empty cost for the rules in force.
func (s *Set) NewCost() Cost {
	c := Cost{rules: s.InForce(), labels: s.labelNames()}
	for _, rule := range c.rules {
		c.Targets = append(c.Targets, TargetCost{Name: rule.Name(), Needs: rule.Needs()})
	}
	return c
}

// Add counts one asset, as if no detail had been read of it.
func (c *Cost) Add(now time.Time, k state.Snapshot) {
	if k.Gone {
		return
	}
	k.Asset.Labels = renamed(k.Asset.Labels, c.labels)
	c.Assets++
	deepest := library.LevelSummary
	for i, rule := range c.rules {
		level := levelOf(rule, now, k)
		c.Targets[i].add(level)
		deepest = max(deepest, level)
	}
	c.Reads.add(deepest)
}

// levelOf returns the level to which the rule reads one asset. An unread detail may exclude
// the asset before its fields are read; until it is read, the fields count.
func levelOf(rule *plan.Target, now time.Time, v state.Snapshot) library.Level {
	v.Fields = nil
	unread := v
	unread.Detail = nil
	switch rule.Evaluate(unread, now).Outcome {
	case plan.NeedsFields:
		return library.LevelFields
	case plan.NeedsDetail:
	default:
		return library.LevelSummary
	}
	known := v.Detail != nil
	if known && rule.Evaluate(v, now).Outcome == plan.NeedsFields || !known && rule.Level() == library.LevelFields {
		return library.LevelFields
	}
	return library.LevelDetail
}
