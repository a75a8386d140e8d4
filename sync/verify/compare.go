package verify

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

// difference is the result of comparing one object. An empty kind means that the object is as it should be.
type difference struct {
	state.Drift
	unproven bool // its bytes could not be compared at the requested depth
}

// compare compares an object with its placement; known states whether it has one.
func (c *comparison) compare(ctx context.Context, p state.Placed, known bool, r dam.Remote) (difference, error) {
	switch {
	case !known || !p.Desired.Present:
		return c.unwanted(p, known, r), nil
	case r.State == dam.Foreign:
		return missing(p, "a foreign object is in its place"), nil
	case r.State == dam.Absent:
		return missing(p, "not there"), nil
	case r.State == dam.Incomplete && r.Token == "" && p.Applied.Token != "":
		return missing(p, "its ownership mark is there, its bytes are not"), nil
	}
	differs, unseen := differences(p, r)
	content, err := c.content(ctx, p, r)
	if err != nil {
		return difference{}, err
	}
	if content.differs != "" && r.State == dam.Present {
		differs, unseen = append(differs, content.differs), true
	}
	if len(differs) == 0 {
		return difference{unproven: content.unproven}, nil
	}
	return difference{Drift: state.Drift{Kind: state.DriftChanged, Path: r.Path, Differs: strings.Join(differs, "; "), Unseen: unseen}}, nil
}

func missing(p state.Placed, why string) difference {
	return difference{Drift: state.Drift{Kind: state.DriftMissing, Path: p.Applied.Path, Differs: why}}
}

// unwanted compares an object that no placement desires at the target. Objects in the archive are where they should be, and
// objects that are kept may stay.
func (c *comparison) unwanted(p state.Placed, known bool, r dam.Remote) difference {
	there := r.State == dam.Present || r.State == dam.Incomplete
	if !there || c.target.Rule.OnRemove() == plan.RemoveKeep {
		return difference{}
	}
	why := "no placement wants it there"
	if known && p.Desired.Reason != "" {
		why = p.Desired.Reason
	}
	return difference{Drift: state.Drift{Kind: state.DriftOrphaned, Path: r.Path, Differs: why}}
}

// differences names what the target's answer about the object shows. unseen: a push that looks at the object would not
// find the difference itself. Versions are not compared: one that came with the same bytes is recorded without a write.
func differences(p state.Placed, r dam.Remote) (differs []string, unseen bool) {
	a, m := p.Applied, r.Mark
	switch r.State {
	case dam.Incomplete:
		return []string{"not what its ownership mark says"}, false
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

// contentDifference is the result of comparing the bytes.
type contentDifference struct {
	differs  string
	unproven bool
}

// content compares the bytes at the requested depth. When they are the same under another token, that token is recorded.
func (c *comparison) content(ctx context.Context, p state.Placed, r dam.Remote) (contentDifference, error) {
	if r.State != dam.Present {
		return contentDifference{}, nil
	}
	differs, proven := hashDiffers(p.Applied, r)
	if c.o.Depth == DepthReadback {
		var err error
		if differs, err = c.readBack(ctx, p, r); err != nil {
			return contentDifference{}, err
		}
		proven = true
	}
	otherToken := r.Token != "" && p.Applied.Token != "" && r.Token != p.Applied.Token
	switch {
	case differs != "":
		return contentDifference{differs: differs}, nil
	case otherToken && !proven:
		return contentDifference{differs: "token " + r.Token}, nil
	case otherToken:
		return contentDifference{}, c.by.Drift.NoteToken(ctx, c.name(), p, r.Token)
	default:
		return contentDifference{unproven: c.o.Depth == DepthHash && !proven}, nil
	}
}

// hashDiffers compares the hash that the target computed with what was put. proven: the target gives one that can be
// compared.
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

// readBack reads the bytes back and hashes them.
func (c *comparison) readBack(ctx context.Context, p state.Placed, r dam.Remote) (differs string, err error) {
	body, err := dam.ReadBack(ctx, c.target.Adapter, r)
	if errors.Is(err, dam.ErrNotFound) {
		return "no bytes to read back", nil
	}
	if err != nil {
		return "", &lookError{assetID: r.Mark.AssetID, path: r.Path, err: fmt.Errorf("read asset %s back: %w", r.Mark.AssetID, err)}
	}
	defer func() { _ = body.Close() }() // only read
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(hash, counting{c.counted}), body)
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
type counting struct{ counted *counters }

func (c counting) Write(p []byte) (int, error) {
	c.counted.bytes.Add(int64(len(p)))
	return len(p), nil
}
