package sync

import (
	"context"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Cost counts what reading the whole mirror anew takes beyond the summaries.
type Cost struct {
	Assets  int // in the mirror, without the removed ones
	Reads       // by any target
	Targets []TargetCost
}

// TargetCost is the part of one target in a Cost, with the configuration keys that cause it.
type TargetCost struct {
	Name string
	Reads
	Needs []plan.Need
}

// Reads counts assets by what is read of them, one request for each count.
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

// Cost evaluates the rules on the mirror as if no detail had been read. It sends no request,
// writes nothing, and takes as long as Plan. A target that does not run, because a name in its
// rule is missing from the library, costs nothing.
func (e *Engine) Cost(ctx context.Context) (Cost, error) {
	if err := e.useKnownRules(ctx); err != nil {
		return Cost{}, err
	}
	rules := e.rules()
	c := Cost{Targets: make([]TargetCost, len(rules))}
	for i, rule := range rules {
		c.Targets[i].Name, c.Targets[i].Needs = rule.Name(), rule.Needs()
	}
	labels := e.labelNames()
	var now time.Time // the database's
	clock := func(at time.Time, _ state.Known) state.Verdict { now = at; return state.Verdict{} }
	err := e.store.Preview(ctx, clock, func(k state.Known, _ state.Verdict) error {
		if !k.Gone {
			k.Asset.Labels = renamed(k.Asset.Labels, labels)
			c.count(rules, now, viewOf(k))
		}
		return nil
	})
	return c, err
}

// count adds one asset.
func (c *Cost) count(rules []*plan.Target, now time.Time, v plan.View) {
	c.Assets++
	deepest := library.LevelSummary
	for i, rule := range rules {
		level := levelOf(rule, now, v)
		c.Targets[i].add(level)
		deepest = max(deepest, level)
	}
	c.Reads.add(deepest)
}

// levelOf returns the level to which the rule reads one asset. An unread detail may exclude
// the asset before its fields are read; until it is read, the fields count.
func levelOf(rule *plan.Target, now time.Time, v plan.View) library.Level {
	v.Fields = nil
	unread := v
	unread.Detail = nil
	switch rule.Decide(unread, now).Verdict {
	case plan.NeedsFields:
		return library.LevelFields
	case plan.NeedsDetail:
	default:
		return library.LevelSummary
	}
	known := v.Detail != nil
	if known && rule.Decide(v, now).Verdict == plan.NeedsFields || !known && rule.Level() == library.LevelFields {
		return library.LevelFields
	}
	return library.LevelDetail
}
