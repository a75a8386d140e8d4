package sync

import (
	"context"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/rules"
	"damsync/sync/source"
)

// Difference is one thing that would be done. Without a target it is something that has to be read first.
type Difference struct {
	Target  string `json:"target,omitempty"`
	AssetID string `json:"asset_id"`
	Title   string `json:"title"`
	Op      string `json:"op"` // put, move, set metadata, retire, read, check, failed
	Path    string `json:"path,omitempty"`
	From    string `json:"from,omitempty"`
	Guard   string `json:"guard,omitempty"` // of a removal: open, waiting or held
	Reason  string `json:"reason,omitempty"`
	// Requests is what carrying it out costs, in whole requests. A put costs none: downloads are no requests to
	// the API, and one request returns the URLs of a hundred.
	Requests int `json:"requests,omitempty"`
}

// Plan calls see for every difference between what the rules decide on the mirror and what is recorded at the targets, in
// the order of asset ids. It sends no request and writes nothing.
func (e *Engine) Plan(ctx context.Context, see func(Difference) error) error {
	if err := e.planner.UseKnown(ctx); err != nil {
		return err
	}
	p := e.preview(see)
	return p.store.Preview(ctx, p.rules.Evaluate, func(k state.Snapshot, d state.Decisions) error { return p.show(k, d) })
}

// preview shows what would be done.
type preview struct {
	store  PreviewStore
	source *source.Source
	rules  *rules.Set
	see    func(Difference) error
}

func (e *Engine) preview(see func(Difference) error) *preview {
	return &preview{store: e.stores.Preview, source: e.source, rules: e.rules, see: see}
}

// show passes on what the decisions about one asset change. Where they change nothing, the stored desired state is
// compared with what is at the target.
func (p *preview) show(k state.Snapshot, d state.Decisions) error {
	for _, one := range p.differences(k, d) {
		if err := p.see(one); err != nil {
			return err
		}
	}
	return nil
}

func (p *preview) differences(k state.Snapshot, d state.Decisions) []Difference {
	var out []Difference
	if d.Needs > library.LevelSummary {
		out = append(out, Difference{AssetID: k.Asset.ID, Title: k.Asset.Title, Op: "read", Reason: "a rule reads its " + d.Needs.String(), Requests: singleRequests(d.Needs)})
	}
	changed := map[string]state.Change{}
	for _, c := range d.Changes {
		changed[c.Target] = c
	}
	for _, f := range d.Failed {
		out = append(out, Difference{Target: f.Target, AssetID: k.Asset.ID, Title: k.Asset.Title, Op: "failed", Reason: f.Reason})
	}
	for _, rule := range p.rules.InForce() {
		desired := k.Desired[rule.Name()]
		guard := desired.Guard
		if c, ok := changed[rule.Name()]; ok {
			desired, guard = c.Desired, ""
			if c.Guarded {
				guard = string(state.GuardWait)
			}
		}
		if one, ok := difference(rule, k, desired); ok {
			one.Guard = guard
			out = append(out, one)
		}
	}
	return out
}

// singleRequests is what reading one asset to a level costs.
func singleRequests(level library.Level) int { return int(level - library.LevelSummary) }

func difference(rule *plan.Target, k state.Snapshot, desired state.Desired) (Difference, bool) {
	applied := k.Applied[rule.Name()]
	op := plan.NextOp(desired, applied, rule.OnRemove())
	if op == plan.OpNone {
		return Difference{}, false
	}
	d := Difference{
		Target: rule.Name(), AssetID: k.Asset.ID, Title: k.Asset.Title, Op: op.String(),
		Path: desired.Path, From: applied.Path, Reason: desired.Reason,
	}
	if op == plan.OpRetire {
		d.Path, d.From = applied.Path, ""
	}
	return d, true
}
