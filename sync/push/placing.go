package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/record"
	"damsync/sync/source"
)

// maxSteps bounds the steps of one placement; it needs at most three.
const maxSteps = 6

// unprovenSuffix marks a version fetched within the second of its own modified_at: a second edit in that second
// would carry the same timestamp.
const unprovenSuffix = "?"

// placing is one placement that is being carried out.
type placing struct {
	p       *Pusher
	w       state.Work
	log     zerolog.Logger
	remote  dam.Remote
	applied state.Object
	touched bool // a change was requested from the target
	handed  bool // a Put has the upload's session and resumes or aborts it
	done    []string
}

func (j *placing) did() string {
	if len(j.done) == 0 {
		return "nothing"
	}
	return strings.Join(j.done, ", ")
}

// do brings the target from the applied to the desired state, one step at a time.
func (j *placing) do(ctx context.Context) error {
	j.applied = j.w.Applied
	j.remote = record.Remote(j.p.Instance, j.w)
	if j.w.IntentWasOpen {
		if err := j.look(ctx); err != nil {
			return err
		}
		j.distrust()
	}
	mode := j.p.Target.Rule.OnRemove()
	for range maxSteps {
		op := plan.NextOp(j.w.Desired, j.there(), mode)
		if op == plan.OpNone {
			j.abandon(ctx)
			return j.p.Store.FinishPlacement(ctx, j.w, j.applied)
		}
		if err := j.step(ctx, op, dam.RetireMode(mode)); err != nil {
			return err
		}
		j.done = append(j.done, op.String())
	}
	return fmt.Errorf("%w: the target has not reached the desired state after %d steps", dam.ErrTemporary, maxSteps)
}

// there returns the applied object. An incomplete object counts as absent when it is to be put, and as present when it is
// to be removed.
func (j *placing) there() state.Object {
	at := j.applied
	if j.remote.State == dam.Incomplete && !j.w.Desired.Present {
		at.State = string(dam.Present)
	}
	return at
}

// abandon aborts an unfinished upload that nothing will resume; its record ends with the work.
func (j *placing) abandon(ctx context.Context) {
	if !j.handed {
		dam.Abandon(ctx, j.p.Target.Adapter, j.w.Upload.Session)
	}
}

// distrust keeps the finding of a verification that the bytes differ, although the target's answer shows no difference.
// Once the bytes are put again, the generation at the target is higher than at the verification.
func (j *placing) distrust() {
	found := j.w.Applied
	if found.State == string(dam.Incomplete) && j.remote.State == dam.Present && j.remote.Mark.Generation <= found.Generation {
		j.remote.State, j.applied.State = dam.Incomplete, string(dam.Incomplete)
	}
}

func (j *placing) step(ctx context.Context, op plan.Op, mode dam.RetireMode) error {
	adapter := j.p.Target.Adapter
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

// put streams the bytes to the target and verifies them on the way.
func (j *placing) put(ctx context.Context) error {
	if fileless(j.w.Type) {
		return fmt.Errorf("%w: an asset of type %s has no file", dam.ErrInvalid, j.w.Type)
	}
	md, err := j.metadata()
	if err != nil {
		return err
	}
	if err := j.claimPath(ctx); err != nil {
		return err
	}
	wait, err := j.graceLeft(ctx) // as of before the bytes are fetched
	if err != nil {
		return err
	}
	if same, err := j.sameBytes(ctx); err != nil || same {
		if err == nil && wait > 0 {
			return &recheck{after: wait}
		}
		return err
	}
	content := &body{p: j.p, w: j.w}
	defer content.close()
	if err := content.prepare(ctx); err != nil {
		return err
	}
	mark := j.mark()
	mark.Size = content.size
	// An upload that began with the suffix continues with it: for the target it is another version.
	if wait > 0 || j.w.Upload.Version == mark.Version+unprovenSuffix {
		mark.Version += unprovenSuffix
	}
	j.touched, j.handed = true, true
	r, err := j.p.Target.Adapter.Put(ctx, dam.Object{
		Mark: mark, Path: j.w.Desired.Path, Title: j.w.Title, MIMEType: j.w.MIMEType, Metadata: md,
		Open: dam.Opener(content.size, "", content.at), Adopt: j.p.Target.Adopt, Upload: content.upload(mark.Version),
	}, j.remote)
	if err := j.accept(ctx, plan.OpPut, r, err); err != nil || mark.Version == j.w.Desired.Version {
		return err
	}
	j.applied.Version = mark.Version
	if err := j.p.Store.RecordStep(ctx, j.w, j.applied); err != nil {
		return err
	}
	return &recheck{after: wait}
}

// recheck gives back a placement that is in place, so that it is checked once more later.
type recheck struct{ after time.Duration }

func (r *recheck) Error() string {
	return "the bytes were fetched within the second of their last change"
}

// graceLeft returns how long bytes fetched now may still change without a new version. It is zero when the version is the
// CMP's own.
func (j *placing) graceLeft(ctx context.Context) (time.Duration, error) {
	if !strings.HasPrefix(j.w.Desired.Version, "modified:") {
		return 0, nil
	}
	now, err := j.p.Store.Now(ctx)
	if err != nil {
		return 0, err
	}
	return max(0, source.GraceEnd(j.w.ModifiedAt).Sub(now)), nil
}

// sameBytes reports whether the asset's bytes are those already in place. Rules that read only the summary see a new
// version after any edit; they fetch and hash the bytes first.
func (j *placing) sameBytes(ctx context.Context) (bool, error) {
	a := j.applied
	unsure := strings.HasPrefix(j.w.Desired.Version, "modified:") && a.Version != j.w.Desired.Version
	if !unsure || a.State != string(dam.Present) || a.SHA256 == "" {
		return false, nil
	}
	d, err := j.p.Source.Open(ctx, j.w.Class, j.w.AssetID, 0)
	if err != nil {
		return false, asSource(err)
	}
	defer func() { _ = d.Body.Close() }()
	hash := sha256.New()
	n, err := io.Copy(hash, d.Body)
	if err != nil {
		return false, asSource(err)
	}
	if n != a.Size || hex.EncodeToString(hash.Sum(nil)) != a.SHA256 {
		return false, nil
	}
	j.applied.Version = j.w.Desired.Version
	return true, nil
}

// puttingInstead returns op, or a put when the target supports no other way to do op.
func puttingInstead(op plan.Op, can dam.Capabilities) plan.Op {
	if op == plan.OpMove && !can.ServerSideMove || op == plan.OpSetMetadata && !can.MetadataWithoutBytes {
		return plan.OpPut
	}
	return op
}

// accept records the target's answer. When the object is not as recorded, it looks for the object and the step is planned
// again.
func (j *placing) accept(ctx context.Context, op plan.Op, r dam.Remote, err error) error {
	if errors.Is(err, dam.ErrNotFound) {
		j.log.Info().Str("op", op.String()).Msg("object is not as recorded; looking for it at the target")
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
	j.applied = record.Object(r)
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

// overtake raises the placement's generation above the target's, which a database restored from an older copy does
// not know, and returns stale, the refusal: the next attempt has the higher generation. An implausible generation is
// not followed; the asset fails until a person removes the object or its mark.
func (j *placing) overtake(ctx context.Context, stale error) error {
	if err := j.look(ctx); err != nil {
		return errors.Join(stale, err)
	}
	err := j.p.Store.RaiseGeneration(ctx, j.w, j.remote.Mark.Generation)
	if errors.Is(err, state.ErrUnknownGeneration) {
		return fmt.Errorf("%w: %w; remove the object or its mark", dam.ErrInvalid, err)
	}
	return errors.Join(stale, err)
}

// look finds the object at the target. After an unknown outcome, what it finds counts.
func (j *placing) look(ctx context.Context) error {
	held, err := j.p.Store.HeldPaths(ctx, j.w)
	if err != nil {
		return err
	}
	hints := record.Hints(append([]string{j.w.IntentPath, j.w.Desired.Path, j.applied.Path, j.applied.Ref, aside(j.w)}, held...)...)
	r, err := j.p.Target.Adapter.Find(ctx, dam.Key{Instance: j.p.Instance, AssetID: j.w.AssetID}, hints)
	if err != nil {
		return fmt.Errorf("look for the object: %w", err)
	}
	j.remote = r
	j.applied = record.Object(r)
	return nil
}

// move moves the object to its new path.
func (j *placing) move(ctx context.Context) error {
	if err := j.claimPath(ctx); err != nil {
		return err
	}
	j.touched = true
	r, err := j.p.Target.Adapter.Move(ctx, j.remote, j.mark(), j.w.Desired.Path)
	return j.accept(ctx, plan.OpMove, r, err)
}

// claimPath reserves the path, so that two assets with the same path never overwrite each other. When each waits for
// the path of the other, one moves aside.
func (j *placing) claimPath(ctx context.Context) error {
	store := j.p.Store
	holder, leaving, err := store.ClaimPath(ctx, j.w, j.w.Desired.Path)
	if err != nil || holder == "" {
		return err
	}
	conflict := &dam.Conflict{Path: j.w.Desired.Path, Holder: holder}
	if !leaving || j.applied.State != string(dam.Present) || !j.p.Target.Adapter.Describe().ServerSideMove {
		return conflict
	}
	wanted, err := store.PathAwaited(ctx, j.w)
	if err != nil || !wanted {
		return errors.Join(err, conflict)
	}
	return errors.Join(j.park(ctx), conflict)
}

// aside returns the path where an object waits while another takes its path. It depends only on the asset, so that the
// object is found there after a crash.
func aside(w state.Work) string { return plan.SafePath("damsync-moving/" + w.AssetID) }

// park moves the object out of the way of the one that waits for its path.
func (j *placing) park(ctx context.Context) error {
	j.touched = true
	r, err := j.p.Target.Adapter.Move(ctx, j.remote, j.mark(), aside(j.w))
	if err := j.accept(ctx, plan.OpMove, r, err); err != nil {
		return err
	}
	if err := j.p.Store.RecordStep(ctx, j.w, j.applied); err != nil {
		return err
	}
	return j.p.Store.ReleasePaths(ctx, j.w, "")
}

// mark returns the ownership mark that the object will carry.
func (j *placing) mark() dam.OwnerMark {
	return dam.OwnerMark{
		Instance: j.p.Instance, Target: j.w.Target, AssetID: j.w.AssetID,
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

// fileless reports whether assets of a type have no bytes.
func fileless(kind string) bool {
	return kind == library.TypeArticle || kind == library.TypeStructuredContent
}

// asSource classifies a failed download as the library's failure rather than the target's.
func asSource(err error) error {
	if errors.Is(err, cmp.ErrTemporary) || errors.Is(err, cmp.ErrNotFound) || errors.Is(err, cmp.ErrBareNotFound) || errors.Is(err, source.ErrNoURL) {
		return fmt.Errorf("%w: %w", dam.ErrSource, err)
	}
	return err
}
