package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// verdict is what the look at one object says. An empty kind: it is as it should be.
type verdict struct {
	state.Drift
	unproven bool // nothing tells its bytes at the depth asked for
}

// judge holds an object against its placement, known telling whether it has one.
func (v *verifying) judge(ctx context.Context, p state.Placed, known bool, r dam.Remote) (verdict, error) {
	switch {
	case !known || !p.Desired.Present:
		return v.unwanted(p, known, r), nil
	case r.State == dam.Foreign:
		return missing(p, "something foreign is in its place"), nil
	case r.State == dam.Absent:
		return missing(p, "not there"), nil
	case r.State == dam.Incomplete && r.Token == "" && p.Applied.Token != "":
		return missing(p, "its bytes are not there, its mark is"), nil
	}
	differs, unseen := differences(p, r)
	content, err := v.content(ctx, p, r)
	if err != nil {
		return verdict{}, err
	}
	if content.differs != "" && r.State == dam.Present {
		differs, unseen = append(differs, content.differs), true
	}
	if len(differs) == 0 {
		return verdict{unproven: content.unproven}, nil
	}
	return verdict{Drift: state.Drift{Kind: state.DriftChanged, Path: r.Path, Differs: strings.Join(differs, "; "), Unseen: unseen}}, nil
}

func missing(p state.Placed, why string) verdict {
	return verdict{Drift: state.Drift{Kind: state.DriftMissing, Path: p.Applied.Path, Differs: why}}
}

// unwanted judges what no placement wants at the target. What is in the archive is
// where it should be, and what is kept may stay.
func (v *verifying) unwanted(p state.Placed, known bool, r dam.Remote) verdict {
	there := r.State == dam.Present || r.State == dam.Incomplete
	if !there || v.target.Rule.OnRemove() == plan.RemoveKeep {
		return verdict{}
	}
	why := "no placement wants it there"
	if known && p.Desired.Reason != "" {
		why = p.Desired.Reason
	}
	return verdict{Drift: state.Drift{Kind: state.DriftOrphaned, Path: r.Path, Differs: why}}
}

// differences names what the object's own answer shows. unseen: a push that looks
// at the object would not find the difference itself. The version is not held
// against the mark: one that came with the same bytes is recorded without a write.
func differences(p state.Placed, r dam.Remote) (differs []string, unseen bool) {
	a, m := p.Applied, r.Mark
	switch r.State {
	case dam.Incomplete:
		return []string{"not what its mark says"}, false
	case dam.Archived:
		return []string{"archived"}, false
	}
	if r.Path != a.Path {
		differs = append(differs, fmt.Sprintf("at %q, was put at %q", r.Path, a.Path))
	}
	if m.MetadataHash != hex.EncodeToString(a.MetadataHash[:]) {
		differs = append(differs, "metadata")
	}
	if m.Generation > p.Generation {
		differs = append(differs, fmt.Sprintf("generation %d, was put with %d", m.Generation, a.Generation))
	}
	if m.Size != a.Size && m.Size >= 0 {
		differs, unseen = append(differs, fmt.Sprintf("%d bytes, %d were put", m.Size, a.Size)), true
	}
	if m.SHA256 != a.SHA256 && m.SHA256 != "" && a.SHA256 != "" {
		differs, unseen = append(differs, "SHA-256 "+m.SHA256), true
	}
	return differs, unseen
}

// contentVerdict is what is known of the bytes.
type contentVerdict struct {
	differs  string
	unproven bool
}

// content judges the bytes to the depth asked for. When they prove the same under
// another token, that token is recorded.
func (v *verifying) content(ctx context.Context, p state.Placed, r dam.Remote) (contentVerdict, error) {
	if r.State != dam.Present {
		return contentVerdict{}, nil
	}
	differs, proven := hashDiffers(p.Applied, r)
	if v.o.Depth == DepthReadback {
		var err error
		if differs, err = v.readBack(ctx, p, r); err != nil {
			return contentVerdict{}, err
		}
		proven = true
	}
	otherToken := r.Token != "" && p.Applied.Token != "" && r.Token != p.Applied.Token
	switch {
	case differs != "":
		return contentVerdict{differs: differs}, nil
	case otherToken && !proven:
		return contentVerdict{differs: "token " + r.Token}, nil
	case otherToken:
		return contentVerdict{}, v.e.store.NoteToken(ctx, v.name(), p, r.Token)
	default:
		return contentVerdict{unproven: v.o.Depth == DepthHash && !proven}, nil
	}
}

// hashDiffers compares the hash that the target computed with what was put, if it gives one
// that can be compared.
func hashDiffers(a state.Object, r dam.Remote) (differs string, proven bool) {
	algorithm, sum, ok := strings.Cut(r.Hash, ":")
	want := ""
	switch {
	case !ok:
	case algorithm == "sha256" && a.SHA256 != "":
		want = a.SHA256
	case strings.HasPrefix(a.Hash, algorithm+":"):
		want = strings.TrimPrefix(a.Hash, algorithm+":")
	}
	if want == "" {
		return "", false
	}
	if sum != want {
		return "hash " + r.Hash, true
	}
	return "", true
}

// readBack hashes the bytes there are.
func (v *verifying) readBack(ctx context.Context, p state.Placed, r dam.Remote) (differs string, err error) {
	body, err := dam.ReadBack(ctx, v.target.Adapter, r)
	if errors.Is(err, dam.ErrNotFound) {
		return "no bytes to read back", nil
	}
	if err != nil {
		return "", &lookError{assetID: r.Mark.AssetID, path: r.Path, err: fmt.Errorf("read asset %s back: %w", r.Mark.AssetID, err)}
	}
	defer func() { _ = body.Close() }() // only read
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(hash, counting{v.counted}), body)
	if err != nil {
		return "", &lookError{assetID: r.Mark.AssetID, path: r.Path, err: fmt.Errorf("read asset %s back: %w", r.Mark.AssetID, err)}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if n != p.Applied.Size || p.Applied.SHA256 != "" && sum != p.Applied.SHA256 {
		return fmt.Sprintf("read back %d bytes with SHA-256 %s", n, sum), nil
	}
	return "", nil
}

// counting counts bytes for progress.
type counting struct{ counted *verifyCounters }

func (c counting) Write(p []byte) (int, error) {
	c.counted.bytes.Add(int64(len(p)))
	return len(p), nil
}

// foundObject is what the target holds as a placement records it, what is
// incomplete included.
func foundObject(r dam.Remote) state.Object {
	if r.State != dam.Incomplete {
		return objectOf(r)
	}
	r.State = dam.Present
	o := objectOf(r)
	o.State = string(dam.Incomplete)
	return o
}
