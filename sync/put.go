package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// put streams the bytes to the target, verified on the way.
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
	wait, err := j.unsettled(ctx) // as of before the bytes are fetched
	if err != nil {
		return err
	}
	if same, err := j.sameBytes(ctx); err != nil || same {
		if err == nil && wait > 0 {
			return &recheck{after: wait}
		}
		return err
	}
	content := &body{j: j}
	defer content.close()
	if err := content.prepare(ctx); err != nil {
		return err
	}
	mark := j.mark()
	mark.Size = content.size
	// What was begun unproven goes on so: to the target it is another version.
	if wait > 0 || j.w.Upload.Version == mark.Version+unproven {
		mark.Version += unproven
	}
	j.touched, j.handed = true, true
	r, err := j.p.target.Adapter.Put(ctx, dam.Object{
		Mark: mark, Path: j.w.Desired.Path, Title: j.w.Title, MIMEType: j.w.MIMEType, Metadata: md,
		Open: dam.Opener(content.size, "", content.at), Adopt: j.p.target.Adopt, Upload: content.upload(mark.Version),
	}, j.remote)
	if err := j.accept(ctx, plan.OpPut, r, err); err != nil || mark.Version == j.w.Desired.Version {
		return err
	}
	j.applied.Version = mark.Version
	if err := j.p.e.store.RecordStep(ctx, j.w, j.applied); err != nil {
		return err
	}
	return &recheck{after: wait}
}

// unproven follows the version of bytes that were fetched so soon after the
// change which names them that another in the same second would have the same name.
const unproven = "?"

// recheck gives a placement back that is in place, to be looked at once more.
type recheck struct{ after time.Duration }

func (r *recheck) Error() string { return "the bytes are as new as the second of their last change" }

// unsettled tells how long bytes fetched now may yet change without a new version: never
// when the version is the CMP's own.
func (j *placing) unsettled(ctx context.Context) (time.Duration, error) {
	if !strings.HasPrefix(j.w.Desired.Version, "modified:") {
		return 0, nil
	}
	now, err := j.p.e.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	return max(0, settledAt(j.w.ModifiedAt).Sub(now)), nil
}

// sameBytes is for rules that read only the summary, where any edit looks like
// a new version: the bytes are fetched and hashed, and nothing is put when they
// are those already in place.
func (j *placing) sameBytes(ctx context.Context) (bool, error) {
	a := j.applied
	unsure := strings.HasPrefix(j.w.Desired.Version, "modified:") && a.Version != j.w.Desired.Version
	if !unsure || a.State != string(dam.Present) || a.SHA256 == "" {
		return false, nil
	}
	d, err := j.open(ctx, 0)
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

// open downloads from a byte on, by the URL at hand, once more by a fresh one when
// it has expired.
func (j *placing) open(ctx context.Context, from int64) (*cmp.Download, error) {
	e := j.p.e
	if u, ok := e.urls.get(j.w.AssetID); ok {
		d, err := e.lib.Download(ctx, u, from)
		if !errors.Is(err, cmp.ErrExpiredURL) {
			return d, err
		}
		e.urls.drop(j.w.AssetID)
	}
	if err := e.fetchURLs(ctx, j.w.Class, []string{j.w.AssetID}); err != nil {
		return nil, err
	}
	u, ok := e.urls.get(j.w.AssetID)
	if !ok {
		return nil, fmt.Errorf("%w: the library gives no download URL for it", dam.ErrSource)
	}
	return e.lib.Download(ctx, u, from)
}

// fetchURLs asks for download URLs; one request brings a hundred. It is never
// less urgent than the poll: bytes that are planned would wait for details of
// assets that are not.
func (e *Engine) fetchURLs(ctx context.Context, class grant.Class, ids []string) error {
	if class != grant.Webhook && class != grant.Manual {
		class = grant.Incremental
	}
	urls, err := e.lib.FileURLs(grant.WithClass(ctx, class), ids)
	if err != nil {
		return err
	}
	for id, u := range urls {
		e.urls.put(id, u)
	}
	return nil
}

// prefetch asks for the URLs of the work claimed and of what comes after it with
// one request. A failure is left to each placement.
func (p *pusher) prefetch(ctx context.Context, work []state.Work) {
	class, lacking := grant.Class(""), false
	for _, w := range work {
		if needsBytes(w) && !p.e.urls.has(w.AssetID) {
			class, lacking = w.Class, true
		}
	}
	if !lacking {
		return
	}
	ids, err := p.e.store.UpcomingPuts(ctx, p.target.Rule.Name(), pageSize)
	if err != nil {
		p.log.Debug().Err(err).Msg("upcoming placements cannot be listed")
	}
	for _, w := range work {
		ids = append(ids, w.AssetID)
	}
	ids = slices.DeleteFunc(ids, p.e.urls.has)
	if len(ids) < 2 {
		return // a single one is asked for where it is used
	}
	if err := p.e.fetchURLs(ctx, class, ids[max(0, len(ids)-pageSize):]); err != nil {
		p.log.Debug().Err(err).Msg("download URLs cannot be fetched together")
	}
}

func needsBytes(w state.Work) bool {
	return w.Desired.Present && !fileless(w.Type) && (w.Desired.Version != w.Applied.Version || w.Applied.State != string(dam.Present))
}

// move gives the object its new path.
func (j *placing) move(ctx context.Context) error {
	if err := j.claimPath(ctx); err != nil {
		return err
	}
	j.touched = true
	r, err := j.p.target.Adapter.Move(ctx, j.remote, j.mark(), j.w.Desired.Path)
	return j.accept(ctx, plan.OpMove, r, err)
}

// claimPath reserves the path, so that two assets which ask for one path never
// overwrite each other. When both want what the other has, one steps aside.
func (j *placing) claimPath(ctx context.Context) error {
	store := j.p.e.store
	holder, leaving, err := store.ClaimPath(ctx, j.w, j.w.Desired.Path)
	if err != nil || holder == "" {
		return err
	}
	conflict := &dam.Conflict{Path: j.w.Desired.Path, Holder: holder}
	if !leaving || j.applied.State != string(dam.Present) || !j.p.target.Adapter.Describe().ServerSideMove {
		return conflict
	}
	wanted, err := store.PathWanted(ctx, j.w)
	if err != nil || !wanted {
		return errors.Join(err, conflict)
	}
	return errors.Join(j.park(ctx), conflict)
}

// aside is where an object waits while others take its path: known from the
// asset alone, so that it is found there after a crash.
func aside(w state.Work) string { return plan.SafePath("damsync-moving/" + w.AssetID) }

// park moves the object out of the way of who waits for its path.
func (j *placing) park(ctx context.Context) error {
	j.touched = true
	r, err := j.p.target.Adapter.Move(ctx, j.remote, j.mark(), aside(j.w))
	if err := j.accept(ctx, plan.OpMove, r, err); err != nil {
		return err
	}
	if err := j.p.e.store.RecordStep(ctx, j.w, j.applied); err != nil {
		return err
	}
	return j.p.e.store.ReleasePaths(ctx, j.w, "")
}
