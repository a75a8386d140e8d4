package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"damsync/dam"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// maxRequests is how many HEAD requests, or copies of parts, one call has in flight.
const maxRequests = 16

// objects reads objects with their ownership marks, and removes them.
type objects struct {
	client *client
	owner  owner
}

// owner is one target of one installation.
type owner struct{ instance, target string }

func (o owner) owns(r record) bool { return r.Instance == o.instance && r.Target == o.target }

// checkMark returns dam.ErrInvalid for the mark of another target.
func (o owner) checkMark(m dam.OwnerMark) error {
	if m.Instance != o.instance || m.Target != o.target || m.AssetID == "" {
		return fmt.Errorf("%w: ownership mark of instance %q, target %q, asset %q does not belong to this target",
			dam.ErrInvalid, m.Instance, m.Target, m.AssetID)
	}
	return nil
}

// look returns what is at a name. It takes one request, or two when the object has a sidecar.
func (o *objects) look(ctx context.Context, name string) (place, error) {
	at, err := o.head(ctx, name)
	if err != nil || !at.ours || at.record.sidecar || at.record.overflow == "" {
		return at, err
	}
	side, err := o.head(ctx, name+sidecar.Suffix)
	if errors.Is(err, errRefused) {
		side, err = place{name: name + sidecar.Suffix, exists: true}, nil
	}
	if err != nil {
		return at, err
	}
	at.side = &side
	if at.record.SHA256 == "" && at.described() {
		at.record.SHA256 = side.record.SHA256
	}
	return at, nil
}

// head is look without the sidecar.
func (o *objects) head(ctx context.Context, name string) (place, error) {
	at := place{name: name}
	out, err := o.client.head(ctx, name)
	if errors.Is(err, dam.ErrNotFound) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	at.exists, at.etag, at.size = true, aws.ToString(out.ETag), aws.ToInt64(out.ContentLength)
	at.storageClass = out.StorageClass
	if out.ChecksumType != types.ChecksumTypeComposite {
		at.sha256 = hexOf(aws.ToString(out.ChecksumSHA256))
	}
	return o.readMark(at, out.Metadata, aws.ToString(out.ContentType)), nil
}

// readMark adds to a place what the user metadata says. What a streamed PUT could not know
// when it began is taken from what the server says of the bytes.
func (o *objects) readMark(at place, metadata map[string]string, contentType string) place {
	var ok bool
	at.record, at.marked, ok = parseUserMetadata(metadata)
	at.ours = ok && o.owner.owns(at.record)
	if contentType != defaultType {
		at.record.MIMEType = contentType
	}
	if at.record.sidecar {
		return at
	}
	at.record.Path = o.client.options.layout.pathOf(at.name, at.record)
	if at.record.Size < 0 {
		at.record.Size = at.size
	}
	if at.record.SHA256 == "" {
		at.record.SHA256 = at.sha256
	}
	return at
}

// lookAll looks at several names at the same time.
func lookAll(ctx context.Context, names []string, look func(context.Context, string) (place, error)) ([]place, error) {
	places := make([]place, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxRequests)
	for i, name := range names {
		g.Go(func() (err error) {
			places[i], err = look(ctx, name)
			return err
		})
	}
	return places, g.Wait()
}

// locate looks for an asset at the names. It also looks at the names that the objects it
// finds came from, since an interrupted move may have left an object there.
func (o *objects) locate(ctx context.Context, assetID string, names []string) (findings, error) {
	var f findings
	for len(names) > 0 {
		names = f.unseen(names)
		places, err := lookAll(ctx, names, o.look)
		if err != nil {
			return findings{}, err
		}
		f.looked = append(f.looked, places...)
		names = nil
		for _, p := range places {
			if !p.of(assetID) || p.record.sidecar {
				continue
			}
			f.own = append(f.own, p)
			if p.record.from != "" {
				names = append(names, p.record.from)
			}
		}
	}
	slices.SortStableFunc(f.own, bestFirst)
	return f, nil
}

// readBack opens the bytes of the object of an asset.
func (o *objects) readBack(ctx context.Context, name, assetID string) (io.ReadCloser, error) {
	out, err := o.client.get(ctx, name, "")
	if err != nil {
		return nil, err
	}
	at := o.readMark(place{name: name, exists: true}, out.Metadata, aws.ToString(out.ContentType))
	if !at.ours || assetID != "" && at.record.AssetID != assetID {
		return nil, fmt.Errorf("%w: another object is at %s", errors.Join(dam.ErrNotFound, out.Body.Close()), name)
	}
	return out.Body, nil
}

// digest returns the SHA-256 of an object: that which the server keeps, or it reads the bytes.
func (o *objects) digest(ctx context.Context, at place) (string, error) {
	if at.sha256 != "" {
		return at.sha256, nil
	}
	out, err := o.client.get(ctx, at.name, at.etag)
	if err != nil {
		return "", err
	}
	source := dam.NewSource(out.Body, at.size, "")
	defer source.Close()
	if _, err := io.Copy(io.Discard, source); err != nil {
		// Not %w: the source is the target's own object, so this is not dam.ErrSource.
		return "", fmt.Errorf("read back %s: %w: %s", at.name, dam.ErrTemporary, err.Error())
	}
	sealed, err := source.Seal(dam.OwnerMark{})
	return sealed.SHA256, err
}

// remove deletes an object as it was looked at. Its sidecar goes first: an object without its
// sidecar is found Incomplete, while a sidecar without its object would not be found.
func (o *objects) remove(ctx context.Context, p place) error {
	if p.side != nil && p.side.of(p.record.AssetID) {
		if err := o.client.remove(ctx, p.side.name, p.side.etag); err != nil {
			return err
		}
	}
	return o.client.remove(ctx, p.name, p.etag)
}
