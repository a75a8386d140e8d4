package dam

import (
	"context"
	"io"
	"iter"
)

// DryRun lets reads through to next and answers writes with what would be
// there, without passing them on. It opens no body, so a sealed mark's digest
// is only what the core knew beforehand.
func DryRun(next Adapter) Adapter { return dryRun{next} }

type dryRun struct{ next Adapter }

var _ Adapter = dryRun{}

func (d dryRun) Describe() Capabilities { return d.next.Describe() }

func (d dryRun) Check(ctx context.Context, populated bool) error {
	return d.next.Check(ctx, populated)
}

func (d dryRun) Find(ctx context.Context, key Key, hints []string) (Remote, error) {
	return d.next.Find(ctx, key, hints)
}

func (d dryRun) List(ctx context.Context) iter.Seq2[Remote, error] { return d.next.List(ctx) }

func (d dryRun) ReadBack(ctx context.Context, r Remote) (io.ReadCloser, error) {
	return ReadBack(ctx, d.next, r)
}

func (d dryRun) Put(_ context.Context, obj Object, current Remote) (Remote, error) {
	return Remote{Ref: current.Ref, Path: obj.Path, State: Present, Mark: obj.Mark}, nil
}

func (d dryRun) SetMetadata(_ context.Context, r Remote, mark Mark, _ string, _ Metadata) (Remote, error) {
	r.Mark.MetadataHash, r.Mark.Generation = mark.MetadataHash, mark.Generation
	return r, nil
}

func (d dryRun) Move(_ context.Context, r Remote, mark Mark, path string) (Remote, error) {
	r.Path, r.State, r.Mark.Generation = path, Present, mark.Generation
	return r, nil
}

func (d dryRun) Retire(_ context.Context, r Remote, mark Mark, mode RetireMode) (Remote, error) {
	if mode == RetireArchive && r.State != Absent {
		r.State, r.Mark.Generation = Archived, mark.Generation
		return r, nil
	}
	return Remote{State: Absent, Mark: Mark{Generation: mark.Generation}}, nil
}
