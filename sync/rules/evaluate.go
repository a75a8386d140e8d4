package rules

import (
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// evaluate collects what each rule decides about one asset and which placements change by that.
func evaluate(rules []*plan.Target, labels map[string]string, now time.Time, k state.Snapshot) state.Decisions {
	var v state.Decisions
	k.Asset.Labels = renamed(k.Asset.Labels, labels)
	for _, rule := range rules {
		d := rule.Evaluate(k, now)
		switch d.Outcome {
		case plan.NeedsDetail:
			v.Needs = max(v.Needs, library.LevelDetail)
		case plan.NeedsFields:
			v.Needs = max(v.Needs, library.LevelFields)
		case plan.Failed:
			v.Failed = append(v.Failed, state.DecisionFailure{Target: rule.Name(), Reason: d.Reason})
		}
		desired, change := plan.Next(d, k.Desired[rule.Name()])
		if change != plan.Unchanged {
			guarded := change == plan.Removed && rule.OnRemove() != plan.RemoveKeep
			v.Changes = append(v.Changes, state.Change{Target: rule.Name(), Desired: desired, Guarded: guarded})
		}
	}
	return v
}

// renamed gives labels their current names.
func renamed(labels []library.Label, names map[string]string) []library.Label {
	current := func(n library.Named) library.Named {
		if name, known := names[n.ID]; known {
			n.Name = name
		}
		return n
	}
	out := make([]library.Label, len(labels))
	for i, l := range labels {
		out[i].Group = current(l.Group)
		for _, v := range l.Values {
			out[i].Values = append(out[i].Values, current(v))
		}
	}
	return out
}
