package sync

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// maxSteps bounds the steps of one placement; three are the most it needs.
const maxSteps = 6

// placing is one placement on its way.
type placing struct {
	p       *pusher
	w       state.Work
	log     zerolog.Logger
	remote  dam.Remote
	applied state.Object
	touched bool // the target was asked to change something
	handed  bool // a Put has the upload's session, to go on with or to give up
	done    []string
}

func (j *placing) did() string {
	if len(j.done) == 0 {
		return "nothing"
	}
	return strings.Join(j.done, ", ")
}

// do brings the target from what is applied to what is desired, one step at a
// time.
func (j *placing) do(ctx context.Context) error {
	j.applied = j.w.Applied
	j.remote = j.recorded()
	if j.w.IntentWasOpen {
		if err := j.look(ctx); err != nil {
			return err
		}
		j.distrust()
	}
	mode := j.p.target.Rule.OnRemove()
	for range maxSteps {
		op := plan.NextOp(planState(j.w.Desired), j.appliedState(), j.appliedKind(), mode)
		if op == plan.OpNone {
			j.abandon(ctx)
			return j.p.e.store.FinishPlacement(ctx, j.w, j.applied)
		}
		if err := j.step(ctx, op, dam.RetireMode(mode)); err != nil {
			return err
		}
		j.done = append(j.done, op.String())
	}
	return fmt.Errorf("%w: the target does not come to rest after %d steps", dam.ErrTemporary, maxSteps)
}

// abandon gives up an upload that was begun for what is not wanted any more: the record
// of it ends with the work.
func (j *placing) abandon(ctx context.Context) {
	if !j.handed {
		dam.Abandon(ctx, j.p.target.Adapter, j.w.Upload.Session)
	}
}

// distrust keeps to what a verification has found: the bytes are others, though the
// target's own answer shows nothing wrong. Once they are put again, the
// generation there is higher than it was then.
func (j *placing) distrust() {
	found := j.w.Applied
	if found.State == string(dam.Incomplete) && j.remote.State == dam.Present && j.remote.Mark.Generation <= found.Generation {
		j.remote.State, j.applied.State = dam.Incomplete, string(dam.Incomplete)
	}
}

func (j *placing) step(ctx context.Context, op plan.Op, mode dam.RetireMode) error {
	adapter := j.p.target.Adapter
	var r dam.Remote
	var err error
	switch puttingInstead(op, adapter.Describe()) {
	case plan.OpPut:
		return j.put(ctx)
	case plan.OpMove:
		return j.move(ctx)
	case plan.OpSetMetadata:
		var md dam.Metadata
		if md, err = j.metadata(); err != nil {
			return err
		}
		j.touched = true
		r, err = adapter.SetMetadata(ctx, j.remote, j.mark(), j.w.Title, md)
	default:
		j.touched = true
		r, err = adapter.Retire(ctx, j.remote, j.mark(), mode)
	}
	return j.accept(ctx, op, r, err)
}

// puttingInstead is op, or a put where the target can do op in no other way.
func puttingInstead(op plan.Op, can dam.Capabilities) plan.Op {
	if op == plan.OpMove && !can.ServerSideMove || op == plan.OpSetMetadata && !can.MetadataWithoutBytes {
		return plan.OpPut
	}
	return op
}

// accept notes what the target answered. An object that is not there as
// recorded is looked for and the step planned again.
func (j *placing) accept(ctx context.Context, op plan.Op, r dam.Remote, err error) error {
	if errors.Is(err, dam.ErrNotFound) {
		j.log.Info().Str("op", op.String()).Msg("object is not as recorded; the target is looked at")
		return j.look(ctx)
	}
	if errors.Is(err, dam.ErrStale) {
		return j.overtake(ctx, fmt.Errorf("%s: %w", op, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	j.remote = r
	before := j.applied
	j.applied = objectOf(r)
	if op == plan.OpMove || op == plan.OpSetMetadata {
		j.applied.Version, j.applied.SHA256, j.applied.Size = before.Version, before.SHA256, before.Size
	}
	switch op {
	case plan.OpPut:
		j.applied.Version, j.applied.MetadataHash = j.w.Desired.Version, j.w.Desired.MetadataHash
	case plan.OpSetMetadata:
		j.applied.MetadataHash = j.w.Desired.MetadataHash
	case plan.OpMove:
		j.applied.MetadataHash = before.MetadataHash
	}
	return nil
}

// overtake lifts the placement's generation above the target's, which a database
// restored from an older copy has forgotten, and returns stale, the refusal:
// the next attempt has the higher one. What a spoilt mark says is not followed;
// the asset fails until a person has removed it.
func (j *placing) overtake(ctx context.Context, stale error) error {
	if err := j.look(ctx); err != nil {
		return errors.Join(stale, err)
	}
	err := j.p.e.store.RaiseGeneration(ctx, j.w, j.remote.Mark.Generation)
	if errors.Is(err, state.ErrSpoiltMark) {
		return fmt.Errorf("%w: %w; remove the object or its mark", dam.ErrInvalid, err)
	}
	return errors.Join(stale, err)
}

// look asks the target what is there: after an outcome nobody knows, its answer
// decides.
func (j *placing) look(ctx context.Context) error {
	held, err := j.p.e.store.HeldPaths(ctx, j.w)
	if err != nil {
		return err
	}
	hints := hintsOf(append([]string{j.w.IntentPath, j.w.Desired.Path, j.applied.Path, j.applied.Ref, aside(j.w)}, held...)...)
	r, err := j.p.target.Adapter.Find(ctx, dam.Key{Instance: j.p.e.instance, AssetID: j.w.AssetID}, hints)
	if err != nil {
		return fmt.Errorf("look for the object: %w", err)
	}
	j.remote = r
	j.applied = objectOf(r)
	return nil
}

func hintsOf(hints ...string) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, h := range hints {
		if !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
	}
	return out
}

// mark is what the object will carry.
func (j *placing) mark() dam.Mark {
	return dam.Mark{
		Instance: j.p.e.instance, Target: j.w.Target, AssetID: j.w.AssetID,
		Version: j.w.Desired.Version, Size: dam.UnknownSize,
		MetadataHash: hex.EncodeToString(j.w.Desired.MetadataHash[:]), Generation: j.w.Generation,
	}
}

func (j *placing) metadata() (dam.Metadata, error) {
	var md dam.Metadata
	if err := json.Unmarshal(j.w.Desired.Metadata, &md); err != nil {
		return nil, fmt.Errorf("%w: decode metadata: %w", dam.ErrInvalid, err)
	}
	return md, nil
}

// recorded is the remote as the last outcome left it.
func (j *placing) recorded() dam.Remote {
	a := j.w.Applied
	r := dam.Remote{Ref: a.Ref, Path: a.Path, State: dam.State(a.State), Token: a.Token, Hash: a.Hash}
	if r.State == dam.Absent {
		r.Mark.Generation = a.Generation
		return r
	}
	r.Mark = dam.Mark{
		Instance: j.p.e.instance, Target: j.w.Target, AssetID: j.w.AssetID, Version: a.Version, SHA256: a.SHA256, Size: a.Size,
		MetadataHash: hex.EncodeToString(a.MetadataHash[:]), Generation: a.Generation,
	}
	return r
}

func (j *placing) appliedState() plan.State {
	if j.applied.State != string(dam.Present) {
		return plan.State{}
	}
	return plan.State{Present: true, Path: j.applied.Path, Version: j.applied.Version, MetadataHash: j.applied.MetadataHash}
}

// appliedKind takes what is incomplete for absent when it is to be put, and for
// present when it is to be removed.
func (j *placing) appliedKind() plan.Applied {
	if j.remote.State == dam.Incomplete && !j.w.Desired.Present {
		return plan.AppliedPresent
	}
	return appliedKind(j.applied.State)
}

func appliedKind(s string) plan.Applied {
	switch dam.State(s) {
	case dam.Present:
		return plan.AppliedPresent
	case dam.Archived:
		return plan.AppliedArchived
	default:
		return plan.AppliedAbsent
	}
}

// objectOf is what is recorded of an answer. What is incomplete or foreign
// counts as absent: the next step is a put, and the target refuses it where it
// must; see appliedKind for the other.
func objectOf(r dam.Remote) state.Object {
	o := state.Object{State: string(dam.Absent), Generation: r.Mark.Generation, Ref: r.Ref}
	if r.State != dam.Present && r.State != dam.Archived {
		return o
	}
	o.State, o.Path, o.Version = string(r.State), r.Path, r.Mark.Version
	o.SHA256, o.Size = r.Mark.SHA256, r.Mark.Size
	o.Token, o.Hash = r.Token, r.Hash
	var hash library.Hash
	if n, err := hex.Decode(hash[:], []byte(r.Mark.MetadataHash)); err == nil && n == len(hash) {
		o.MetadataHash = hash
	}
	return o
}

// fileless are the types without bytes.
func fileless(kind string) bool {
	return kind == library.TypeArticle || kind == library.TypeStructuredContent
}

// asSource gives a failed download its class: the target is not to blame.
func asSource(err error) error {
	if errors.Is(err, cmp.ErrTemporary) || errors.Is(err, cmp.ErrNotFound) || errors.Is(err, cmp.ErrBareNotFound) {
		return fmt.Errorf("%w: %w", dam.ErrSource, err)
	}
	return err
}
