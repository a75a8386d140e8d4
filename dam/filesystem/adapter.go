package filesystem

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// Adapter pushes objects into a directory tree. New makes one.
type Adapter struct {
	options
	target, instance string
	home             home

	// populated says that the marker existed once, or that the core has recorded
	// objects: from then on a root without marker is unavailable.
	populated atomic.Bool
	cleaned   atomic.Bool
	lock      rootLock
	fault     func(step string) error
}

var (
	_ dam.Adapter    = (*Adapter)(nil)
	_ dam.ReadBacker = (*Adapter)(nil)
)

// Describe implements dam.Adapter.
func (a *Adapter) Describe() dam.Capabilities {
	return dam.Capabilities{
		Adapter:              "filesystem",
		Place:                a.directory(),
		Retire:               []dam.RetireMode{dam.RetireDelete, dam.RetireArchive},
		MaxPathBytes:         maxPathBytes,
		MaxNameBytes:         maxNameBytes,
		RemembersRemoved:     true,
		UniquePaths:          true,
		AtomicCreate:         true,
		ConditionalReplace:   true,
		MetadataWithoutBytes: true,
		ServerSideMove:       true,
		MaxMetadataBytes:     sidecar.MaxMetadataBytes,
		ReadBack:             true,
	}
}

// Check implements dam.Adapter.
func (a *Adapter) Check(ctx context.Context, populated bool) error {
	if populated {
		a.populated.Store(true)
	}
	s, err := openRead(ctx, a)
	if err != nil {
		return fmt.Errorf("check target: %w", err)
	}
	if s != nil {
		s.close()
	}
	return classed("check target", checkWritable(a.root, s == nil))
}

// Find implements dam.Adapter. The record finds an asset without hints; hints are
// needed only when the adapter's own directory was lost.
func (a *Adapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	if key.Instance != a.instance || key.AssetID == "" {
		return dam.Remote{}, fmt.Errorf("find %q of instance %q: %w: not a key of this adapter",
			key.AssetID, key.Instance, dam.ErrInvalid)
	}
	s, err := openRead(ctx, a)
	if err != nil {
		return dam.Remote{}, classed("find "+key.AssetID, err)
	}
	if s == nil {
		return dam.Remote{State: dam.Absent}, nil
	}
	defer s.close()
	r, err := find(s.journal, key.AssetID, hints)
	return r, classed("find "+key.AssetID, err)
}

// Put implements dam.Adapter. It streams the body to a file outside the lock; only
// renames and sidecars are written under it.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	doing := "put " + obj.Mark.AssetID
	err := a.checkMark(obj.Mark)
	if err == nil {
		err = checkPath(obj.Path)
	}
	if err == nil { // before the body is received
		_, err = sidecar.EncodeMetadata(obj.Title, obj.Metadata)
	}
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	s, err := openWrite(ctx, a)
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	defer s.close()
	r, err := upload{s, obj, current}.run(ctx)
	return r, classed(doing, err)
}

// SetMetadata implements dam.Adapter. One rename replaces the sidecar.
func (a *Adapter) SetMetadata(
	ctx context.Context, r dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata,
) (dam.Remote, error) {
	doing := "set metadata of " + mark.AssetID
	raw, err := sidecar.EncodeMetadata(title, md)
	if err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	now, err := a.apply(ctx, r, mark, func(c change) (dam.Remote, error) { return c.setMetadata(title, raw) })
	return now, classed(doing, err)
}

// Move implements dam.Adapter.
func (a *Adapter) Move(ctx context.Context, r dam.Remote, mark dam.OwnerMark, p string) (dam.Remote, error) {
	doing := "move " + mark.AssetID
	if err := checkPath(p); err != nil {
		return dam.Remote{}, classed(doing, err)
	}
	now, err := a.apply(ctx, r, mark, func(c change) (dam.Remote, error) { return c.move(p) })
	return now, classed(doing, err)
}

// Retire implements dam.Adapter. It leaves a foreign object in the place alone and
// reports the asset as absent.
func (a *Adapter) Retire(
	ctx context.Context, r dam.Remote, mark dam.OwnerMark, mode dam.RetireMode,
) (dam.Remote, error) {
	doing := "retire " + mark.AssetID
	retire := change.erase
	switch mode {
	case dam.RetireDelete:
	case dam.RetireArchive:
		retire = change.archive
	default:
		return dam.Remote{}, fmt.Errorf("%s: %w: unknown mode %q", doing, dam.ErrInvalid, mode)
	}
	now, err := a.apply(ctx, r, mark, retire)
	return now, classed(doing, err)
}

// List implements dam.Adapter. It does not hold the lock between two answers.
func (a *Adapter) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		if err := list(ctx, a, yield); err != nil {
			yield(dam.Remote{}, classed("list", err))
		}
	}
}

// ReadBack implements dam.ReadBacker. The opened file stays readable when it is
// replaced meanwhile.
func (a *Adapter) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	doing := "read back " + r.Mark.AssetID
	s, err := openRead(ctx, a)
	if err != nil {
		return nil, classed(doing, err)
	}
	if s == nil {
		return nil, classed(doing, dam.ErrNotFound)
	}
	defer s.close()
	f, err := openFile(s.journal, r)
	if err != nil {
		return nil, classed(doing, err)
	}
	return f, nil
}

// apply calls do with what the tree holds of an asset, under the lock, after it
// has completed the asset's last step and checked the generation.
func (a *Adapter) apply(
	ctx context.Context, r dam.Remote, mark dam.OwnerMark, do func(change) (dam.Remote, error),
) (dam.Remote, error) {
	if err := a.checkMark(mark); err != nil {
		return dam.Remote{}, err
	}
	s, err := openWrite(ctx, a)
	if err != nil {
		return dam.Remote{}, err
	}
	defer s.close()
	f, err := begin(s.journal, mark, r.Ref, r.Path)
	if err != nil {
		return dam.Remote{}, err
	}
	return do(change{s.journal, f, mark})
}

func (a *Adapter) checkMark(m dam.OwnerMark) error {
	if m.Instance != a.instance || m.Target != a.target || m.AssetID == "" {
		return fmt.Errorf("%w: mark of instance %q, target %q, asset %q is not one of this adapter",
			dam.ErrInvalid, m.Instance, m.Target, m.AssetID)
	}
	return nil
}
