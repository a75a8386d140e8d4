package s3

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// Adapter pushes objects into a bucket. Create one with New.
type Adapter struct {
	options *options
	client  *client
	objects *objects
	uploads *multiparts
	lister  *lister
	putter  *putter
	changer *changer
	checker *checker
}

var (
	_ dam.Adapter    = (*Adapter)(nil)
	_ dam.ReadBacker = (*Adapter)(nil)
	_ dam.Abandoner  = (*Adapter)(nil)
)

// New returns the adapter for a target of an installation. given are the configured options; all
// problems with them are reported at once. New does no I/O.
func New(given map[string]any, target, instance string) (*Adapter, error) {
	o, err := parse(given)
	if err != nil {
		return nil, fmt.Errorf("s3 target %q: %w", target, err)
	}
	if target == "" || instance == "" {
		return nil, fmt.Errorf("s3 target %q: target and instance must not be empty", target)
	}
	c := &client{conn: &connection{options: o}, options: o}
	self := owner{instance: instance, target: target}
	objs := &objects{client: c, owner: self}
	uploads := &multiparts{client: c, notes: newNotes(c, self), maxAge: defaultMaxAge}
	cp := &copier{client: c, uploads: uploads, limit: maxSinglePut, partSize: gib}
	side := &sidecars{client: c, objects: objs}
	w := &writer{
		options: o, objects: objs, sidecars: side, copier: cp,
		uploader: &uploader{
			client: c, objects: objs, uploads: uploads, copier: cp, buffers: newPartBuffers(o.concurrency, o.partSize),
		},
	}
	return &Adapter{
		options: o, client: c, objects: objs, uploads: uploads,
		lister:  &lister{client: c, objects: objs},
		putter:  &putter{options: o, objects: objs, uploads: uploads, writer: w},
		changer: &changer{options: o, objects: objs, sidecars: side, writer: w},
		checker: &checker{client: c, options: o},
	}, nil
}

// Describe implements dam.Adapter.
func (a *Adapter) Describe() dam.Capabilities {
	o := a.options
	c := dam.Capabilities{
		Adapter:      "s3",
		Place:        o.location(),
		Retire:       []dam.RetireMode{dam.RetireDelete, dam.RetireArchive},
		MaxPathBytes: o.layout.maxPathBytes(),
		MaxNameBytes: maxNameBytes,
		UniquePaths:  true,

		AtomicCreate:       o.conditional,
		ConditionalReplace: o.conditional,

		MetadataWithoutBytes: true,
		ServerSideMove:       true,
		MaxMetadataBytes:     sidecar.MaxMetadataBytes,

		ResumableUpload: true,
		MinPartBytes:    o.minPartBytes(),
		ReadBack:        true,
	}
	if o.checksum == checksumSHA256 {
		c.ContentHash = "sha256"
	}
	return c
}

// Check implements dam.Adapter. It also aborts abandoned uploads.
func (a *Adapter) Check(ctx context.Context, populated bool) error {
	err := a.checker.check(ctx, populated)
	if err == nil {
		_ = a.uploads.clean(ctx) // where it fails, the next upload in parts tries again
	}
	return err
}

// Find implements dam.Adapter. It looks at each hint and its two places in the archive. Without
// hints it lists everything under the prefix.
func (a *Adapter) Find(ctx context.Context, key dam.Key, hints []string) (dam.Remote, error) {
	doing := "find " + key.AssetID
	if key.Instance != a.objects.owner.instance || key.AssetID == "" {
		return dam.Remote{}, fmt.Errorf("%s of instance %q: %w: not a key of this installation",
			doing, key.Instance, dam.ErrInvalid)
	}
	f, err := a.objects.locate(ctx, key.AssetID, a.candidates(key.AssetID, hints))
	if err == nil && len(f.own) == 0 && len(hints) == 0 {
		f, err = a.lister.search(ctx, key.AssetID)
	}
	switch {
	case err != nil:
		return dam.Remote{}, classedRead(ctx, doing, err)
	case len(f.own) > 0:
		return f.remote(), nil
	}
	if len(hints) > 0 {
		if at, ok := f.at(hints[0]); ok && at.exists && !at.ours {
			return dam.Remote{Path: hints[0], State: dam.Foreign}, nil
		}
	}
	return dam.Remote{State: dam.Absent}, nil
}

// candidates returns the names that an asset may have according to hints. Hints come from
// outside and are checked.
func (a *Adapter) candidates(assetID string, hints []string) []string {
	l := a.options.layout
	var names []string
	for _, h := range hints {
		if rest, archived := strings.CutPrefix(h, l.archive); archived && checkSegments(rest) == nil {
			names = append(names, h)
		} else if l.checkPath(h) == nil {
			names = append(names, h)
			names = append(names, l.archiveNames(assetID, h)...)
		}
	}
	return names
}

// Put implements dam.Adapter. A new object takes one request.
func (a *Adapter) Put(ctx context.Context, obj dam.Object, current dam.Remote) (dam.Remote, error) {
	return a.putter.put(ctx, obj, current)
}

// SetMetadata implements dam.Adapter.
func (a *Adapter) SetMetadata(
	ctx context.Context, r dam.Remote, mark dam.OwnerMark, title string, md dam.Metadata,
) (dam.Remote, error) {
	return a.changer.setMetadata(ctx, r, mark, title, md)
}

// Move implements dam.Adapter.
func (a *Adapter) Move(ctx context.Context, r dam.Remote, mark dam.OwnerMark, path string) (dam.Remote, error) {
	return a.changer.move(ctx, r, mark, path)
}

// Retire implements dam.Adapter.
func (a *Adapter) Retire(ctx context.Context, r dam.Remote, mark dam.OwnerMark, mode dam.RetireMode) (dam.Remote, error) {
	return a.changer.retire(ctx, r, mark, mode)
}

// List implements dam.Adapter. A listing does not contain ownership marks, so it takes a HEAD for
// each object.
func (a *Adapter) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		if all, err := a.lister.list(ctx, yield); err != nil && all {
			yield(dam.Remote{}, classedRead(ctx, "list", err))
		}
	}
}

// ReadBack implements dam.ReadBacker.
func (a *Adapter) ReadBack(ctx context.Context, r dam.Remote) (io.ReadCloser, error) {
	doing := "read back " + r.Mark.AssetID
	name := nameOf(r)
	if name == "" {
		return nil, fmt.Errorf("%s: %w", doing, dam.ErrNotFound)
	}
	body, err := a.objects.readBack(ctx, name, r.Mark.AssetID)
	return body, classedRead(ctx, doing, err)
}

// Abandon implements dam.Abandoner.
func (a *Adapter) Abandon(ctx context.Context, session []byte) {
	a.uploads.abandonSession(ctx, session)
}
