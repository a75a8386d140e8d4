package sync

import (
	"context"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// Difference is one thing that would be done. Without a target it is something
// that has to be read first.
type Difference struct {
	Target  string `json:"target,omitempty"`
	AssetID string `json:"asset_id"`
	Title   string `json:"title"`
	Op      string `json:"op"` // put, move, set metadata, retire, read, check, failed
	Path    string `json:"path,omitempty"`
	From    string `json:"from,omitempty"`
	Guard   string `json:"guard,omitempty"` // of a removal: open, waiting or held
	Reason  string `json:"reason,omitempty"`
	// Requests is what carrying it out takes, where it is whole requests. A put takes none: the
	// bytes are no requests to the API, and one request gives the addresses of a hundred.
	Requests int `json:"requests,omitempty"`
}

// Plan calls see for every difference between what the rules make of the mirror
// now and what is recorded at the targets, in the order of asset ids. It sends
// no request and writes nothing.
func (e *Engine) Plan(ctx context.Context, see func(Difference) error) error {
	if err := e.planner.UseKnown(ctx); err != nil {
		return err
	}
	return e.stores.Preview.Preview(ctx, e.rules.Evaluate, func(k state.Snapshot, v state.Decisions) error {
		return each(e.differences(k, v), see)
	})
}

func each(differences []Difference, see func(Difference) error) error {
	for _, d := range differences {
		if err := see(d); err != nil {
			return err
		}
	}
	return nil
}

// differences holds the verdict, or the stored wish where the verdict changes
// nothing, against what is at the target.
func (e *Engine) differences(k state.Snapshot, v state.Decisions) []Difference {
	var out []Difference
	if v.Needs > library.LevelSummary {
		out = append(out, Difference{AssetID: k.Asset.ID, Title: k.Asset.Title, Op: "read", Reason: "a rule reads its " + v.Needs.String(), Requests: singleRequests(v.Needs)})
	}
	changed := map[string]state.Change{}
	for _, c := range v.Changes {
		changed[c.Target] = c
	}
	for _, f := range v.Failed {
		out = append(out, Difference{Target: f.Target, AssetID: k.Asset.ID, Title: k.Asset.Title, Op: "failed", Reason: f.Reason})
	}
	for _, rule := range e.rules.InForce() {
		desired := k.Desired[rule.Name()]
		gate := desired.Guard
		if c, ok := changed[rule.Name()]; ok {
			desired = c.Desired
			gate = ""
			if c.Guarded {
				gate = "waiting"
			}
		}
		if d, ok := difference(rule, k, desired); ok {
			d.Guard = gate
			out = append(out, d)
		}
	}
	return out
}

// singleRequests is what reading one asset to a level takes.
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
