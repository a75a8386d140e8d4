package sync

import (
	"encoding/json"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// decide judges one asset for every rule that runs.
func (e *Engine) decide(now time.Time, k state.Known) state.Verdict {
	return e.ranked(k, decideFor(e.rules(), e.labelNames(), now, k))
}

// ranked tells where an asset stands among those that have to be read in depth.
func (e *Engine) ranked(k state.Known, v state.Verdict) state.Verdict {
	if v.Needs > library.LevelSummary {
		v.Rank = e.opts.Schedule.FirstLight.Rank(k.Folder)
	}
	return v
}

// decideFor is the plan: what each rule makes of one asset, held against the
// placements there are.
func decideFor(rules []*plan.Target, labels map[string]string, now time.Time, k state.Known) state.Verdict {
	var v state.Verdict
	k.Asset.Labels = renamed(k.Asset.Labels, labels)
	view := viewOf(k)
	for _, rule := range rules {
		d := rule.Decide(view, now)
		switch d.Verdict {
		case plan.NeedsDetail:
			v.Needs = max(v.Needs, library.LevelDetail)
		case plan.NeedsFields:
			v.Needs = max(v.Needs, library.LevelFields)
		case plan.Failed:
			v.Failed = append(v.Failed, state.DecisionFailure{Target: rule.Name(), Reason: d.Reason})
		}
		if change, ok := changeFor(rule, d, k); ok {
			v.Changes = append(v.Changes, change)
		}
	}
	return v
}

// renamed gives labels the names that they have now: a label that is renamed is not told by the
// assets that carry it until they are read again, and a rule that knows the new
// name alone would take all of them for others.
func renamed(labels []library.Label, names map[string]string) []library.Label {
	now := func(n library.Named) library.Named {
		if name, known := names[n.ID]; known {
			n.Name = name
		}
		return n
	}
	out := make([]library.Label, len(labels))
	for i, l := range labels {
		out[i].Group = now(l.Group)
		for _, v := range l.Values {
			out[i].Values = append(out[i].Values, now(v))
		}
	}
	return out
}

func viewOf(k state.Known) plan.View {
	return plan.View{Asset: k.Asset, Folder: k.Folder, Detail: k.Detail, Fields: k.Fields, SourceTask: k.SourceTask, Gone: k.Gone}
}

func changeFor(rule *plan.Target, d plan.Decision, k state.Known) (state.Change, bool) {
	before, exists := k.Desired[rule.Name()]
	next, change := plan.Next(d, planState(before), exists)
	if change == plan.Unchanged {
		return state.Change{}, false
	}
	desired := state.Desired{
		Present: next.Present, Path: next.Path, Version: next.Version, MetadataHash: next.MetadataHash,
		Reason: d.Reason, Metadata: json.RawMessage("{}"),
	}
	if next.Present {
		text, err := json.Marshal(d.Metadata)
		if err != nil {
			return state.Change{}, false // Decide has encoded it once already
		}
		desired.Metadata = text
	}
	gated := change == plan.Removed && rule.OnRemove() != plan.RemoveKeep
	return state.Change{Target: rule.Name(), Desired: desired, Gated: gated}, true
}

func planState(d state.Desired) plan.State {
	return plan.State{Present: d.Present, Path: d.Path, Version: d.Version, MetadataHash: d.MetadataHash}
}

// needsFields asks whether some rule, knowing the detail, still needs the
// fields.
func (e *Engine) needsFields(now time.Time, k state.Known) bool {
	return e.decide(now, k).Needs == library.LevelFields
}
