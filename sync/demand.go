package sync

import (
	"context"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Demand is what the rules want to know of the library as the mirror has it, in assets.
type Demand struct {
	Assets  int // living, in the mirror
	Details int // of which some rule reads the detail
	Unread  int // of these, not read yet or changed since
	Fields  int // of which some rule reads the fields; at most so many while details are unread
	Windows int // that an audit counts in a day
	Targets []TargetDemand
}

// TargetDemand is the part of one target.
type TargetDemand struct {
	Name    string
	Details int
	Fields  int
	Alone   int // details that no other target reads
	Needs   []plan.Need
}

// Demand judges the mirror as if no detail were known. It sends no request and writes nothing,
// and takes as long as Plan. Targets that do not run, since the library lacks a name, read nothing.
func (e *Engine) Demand(ctx context.Context) (Demand, error) {
	if err := e.useKnownRules(ctx); err != nil {
		return Demand{}, err
	}
	rules := e.rules()
	d := Demand{Targets: make([]TargetDemand, len(rules))}
	for i, rule := range rules {
		d.Targets[i].Name, d.Targets[i].Needs = rule.Name(), rule.Needs()
	}
	labels := e.labelNames()
	var at time.Time
	note := func(now time.Time, _ state.Known) state.Verdict { at = now; return state.Verdict{} }
	err := e.store.Preview(ctx, note, func(k state.Known, _ state.Verdict) error {
		if !k.Gone {
			k.Asset.Labels = renamed(k.Asset.Labels, labels)
			d.add(rules, at, viewOf(k))
		}
		return nil
	})
	size := e.windowSize(d.Assets)
	d.Windows = (d.Assets + size - 1) / size
	return d, err
}

// add counts one asset.
func (d *Demand) add(rules []*plan.Target, now time.Time, v plan.View) {
	d.Assets++
	details, fields, only := 0, false, -1
	for i, rule := range rules {
		level := levelOf(rule, now, v)
		if level == library.LevelSummary {
			continue
		}
		details, only = details+1, i
		d.Targets[i].Details++
		if level == library.LevelFields {
			d.Targets[i].Fields++
			fields = true
		}
	}
	if details == 0 {
		return
	}
	d.Details++
	if v.Detail == nil {
		d.Unread++
	}
	if fields {
		d.Fields++
	}
	if details == 1 {
		d.Targets[only].Alone++
	}
}

// levelOf is how deep the rule reads one asset. Whether an unread detail excludes it before its
// fields are read is not known; it counts as if not.
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
