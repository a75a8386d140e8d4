package sync

import (
	"context"
	"errors"
	"time"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/walk"
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
	Gate    string `json:"gate,omitempty"` // of a removal: open, waiting or held
	Reason  string `json:"reason,omitempty"`
	// Requests is what carrying it out takes, where it is whole requests. A put takes none: the
	// bytes are no requests to the API, and one request gives the addresses of a hundred.
	Requests int `json:"requests,omitempty"`
}

// Plan calls see for every difference between what the rules make of the mirror
// now and what is recorded at the targets, in the order of asset ids. It sends
// no request and writes nothing.
func (e *Engine) Plan(ctx context.Context, see func(Difference) error) error {
	if err := e.useKnownRules(ctx); err != nil {
		return err
	}
	return e.store.Preview(ctx, e.decide, func(k state.Known, v state.Verdict) error {
		return each(e.differences(k, v), see)
	})
}

// useKnownRules lets run what the mirror knows no problem of, without writing.
func (e *Engine) useKnownRules(ctx context.Context) error {
	names, err := e.store.Names(ctx)
	if err != nil {
		return err
	}
	problems := map[string]string{}
	for _, t := range e.targets {
		for _, missing := range MissingNames(t.Rule.References(), names) {
			problems[t.Rule.Name()] = missing
		}
	}
	e.setActive(problems, names.LabelNames)
	return nil
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
func (e *Engine) differences(k state.Known, v state.Verdict) []Difference {
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
	for _, rule := range e.rules() {
		desired := k.Desired[rule.Name()]
		gate := desired.Gate
		if c, ok := changed[rule.Name()]; ok {
			desired = c.Desired
			gate = ""
			if c.Gated {
				gate = "waiting"
			}
		}
		if d, ok := difference(rule, k, desired); ok {
			d.Gate = gate
			out = append(out, d)
		}
	}
	return out
}

// singleRequests is what reading one asset to a level takes.
func singleRequests(level library.Level) int { return int(level - library.LevelSummary) }

func difference(rule *plan.Target, k state.Known, desired state.Desired) (Difference, bool) {
	applied := k.Applied[rule.Name()]
	at := plan.State{}
	if applied.State == string(dam.Present) {
		at = plan.State{Present: true, Path: applied.Path, Version: applied.Version, MetadataHash: applied.MetadataHash}
	}
	op := plan.NextOp(planState(desired), at, appliedKind(applied.State), rule.OnRemove())
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

// DryRun reads the library as Resync does and says what a resync would do. It
// writes nothing, neither to the mirror nor to a target, and returns how many
// requests the reading cost. With an asset id it reads that asset alone.
func (e *Engine) DryRun(ctx context.Context, assetID string, see func(Difference) error) (int, error) {
	ctx = grant.WithClass(ctx, grant.Manual)
	if err := e.useKnownRules(ctx); err != nil {
		return 0, err
	}
	if assetID != "" {
		return e.dryRunAsset(ctx, assetID, see)
	}
	requests, seen := 0, map[string]bool{}
	walker, cursor := walk.Walker{Library: e.lib}, walk.Cursor{}
	for {
		readAt, err := e.clockedReading(ctx)
		if err != nil {
			return requests, err
		}
		s, next, err := walker.Step(ctx, cursor)
		requests += s.Requests
		if err != nil {
			return requests, err
		}
		if err := e.dryRunSpan(ctx, readAt, s, seen, see); err != nil {
			return requests, err
		}
		if s.End {
			break
		}
		cursor = next
	}
	// What the reading does not change may still wait for its turn.
	return requests, e.store.Preview(ctx, e.decide, func(k state.Known, v state.Verdict) error {
		if seen[k.Asset.ID] {
			return nil
		}
		return each(e.differences(k, v), see)
	})
}

func (e *Engine) dryRunSpan(ctx context.Context, readAt time.Time, s walk.Span, seen map[string]bool, see func(Difference) error) error {
	rows := make([]library.Asset, len(s.Items))
	for i, it := range s.Items {
		rows[i] = it.Asset
	}
	changed, err := e.store.Differing(ctx, rows)
	if err != nil {
		return err
	}
	now, known, err := e.overlay(ctx, changed)
	if err != nil {
		return err
	}
	for _, k := range known {
		seen[k.Asset.ID] = true
		if err := each(e.differences(k, e.decide(now, k)), see); err != nil {
			return err
		}
	}
	if !s.Complete {
		return nil
	}
	missing, err := e.store.Missing(ctx, s.Above, s.UpTo, s.Inclusive, s.Seen, readAt)
	if err != nil {
		return err
	}
	for _, id := range missing {
		if err := see(Difference{AssetID: id, Op: "check", Reason: "not found where the mirror has it; one request would tell whether it is gone", Requests: 1}); err != nil {
			return err
		}
	}
	return nil
}

// overlay puts rows just read over what the mirror knows; a detail of an older
// state counts as unknown.
func (e *Engine) overlay(ctx context.Context, rows []library.Asset) (time.Time, []state.Known, error) {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	now, stored, err := e.store.KnownAssets(ctx, ids)
	if err != nil {
		return now, nil, err
	}
	byID := make(map[string]state.Known, len(stored))
	for _, k := range stored {
		byID[k.Asset.ID] = k
	}
	out := make([]state.Known, len(rows))
	for i, a := range rows {
		k := byID[a.ID]
		if !k.Asset.ModifiedAt.Equal(a.ModifiedAt) {
			k.Detail, k.Fields = nil, nil
		}
		k.Asset, k.Folder, k.Gone = a, a.FileLocation, false
		out[i] = k
	}
	return now, out, nil
}

func (e *Engine) dryRunAsset(ctx context.Context, id string, see func(Difference) error) (int, error) {
	now, stored, err := e.store.KnownAssets(ctx, []string{id})
	if err != nil {
		return 0, err
	}
	var k state.Known
	if len(stored) > 0 {
		k = stored[0]
	}
	requests := 1
	d, err := e.lib.Asset(ctx, cmp.Ref{ID: id, Type: k.Asset.Type, Self: k.Asset.Self})
	switch {
	case errors.Is(err, cmp.ErrNotFound):
		k.Gone = true
	case err != nil:
		return requests, err
	default:
		k.Asset, k.Detail, k.Fields, k.Folder, k.Gone = d.Asset, &d.Detail, nil, d.Asset.FileLocation, false
	}
	if k.Asset.ID == "" {
		return requests, unknownAsset(id)
	}
	return requests, each(e.differences(k, e.decide(now, k)), see)
}
