package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"damsync/dam"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// sidecars reads, writes and removes the documents beside objects.
type sidecars struct {
	client  *client
	objects *objects
}

// checkRoom returns dst with its sidecar looked at when r needs one, and dam.ErrForeign when the
// sidecar cannot be written. It runs before anything is sent, since otherwise every retry would
// send all bytes again.
func (s *sidecars) checkRoom(ctx context.Context, dst place, r record) (place, error) {
	if r.overflow == "" {
		return dst, nil
	}
	if dst.side == nil {
		side, err := s.objects.head(ctx, dst.name+sidecar.Suffix)
		if err != nil {
			return dst, err
		}
		dst.side = &side
	}
	return dst, dst.side.replaceable()
}

// write writes the sidecar of an object that was written.
func (s *sidecars) write(ctx context.Context, at place) (*place, error) {
	side := place{name: at.name + sidecar.Suffix}
	if at.side != nil {
		side = *at.side
	}
	if err := side.replaceable(); err != nil {
		return nil, err
	}
	r := at.record
	if side.of(r.AssetID) && side.record.Generation > r.Generation {
		return nil, fmt.Errorf("sidecar of generation %d after %d: %w", r.Generation, side.record.Generation, dam.ErrStale)
	}
	r.sidecar, r.from = true, ""
	body, err := r.Encode()
	if err != nil {
		return nil, err
	}
	md, ok := r.userMetadata()
	if !ok {
		return nil, errNoRoom(r)
	}
	in := newDocumentHeaders(s.client.options, md).putInput(s.client.options.condition(side))
	in.Body, in.ContentLength = bytes.NewReader(body), aws.Int64(int64(len(body)))
	if _, err := s.client.put(ctx, side.name, in); err != nil {
		return nil, err
	}
	side.exists, side.ours, side.record = true, true, r
	return &side, nil
}

// load returns the record of an object, completed from its sidecar where it has one.
// dam.ErrNotFound: the sidecar is missing, unreadable or older than the object.
func (s *sidecars) load(ctx context.Context, at place) (record, error) {
	r := at.record
	if r.overflow == "" {
		return r, nil
	}
	if !at.described() {
		return r, fmt.Errorf("%w: the sidecar does not belong to the object's last write", dam.ErrNotFound)
	}
	raw, err := s.client.read(ctx, at.side.name, at.side.etag, sidecar.MaxBytes)
	if err != nil {
		return r, err
	}
	doc, err := sidecar.Decode(raw)
	if err != nil {
		return r, fmt.Errorf("read sidecar of %s: %w: %w", at.name, dam.ErrNotFound, err)
	}
	r.Title, r.Metadata = doc.Title, doc.Metadata
	return r, nil
}

// removeLone removes the sidecar that an asset left at a name where its object is gone, or says
// that it has no sidecar.
func (s *sidecars) removeLone(ctx context.Context, f findings, mark dam.OwnerMark, name string) error {
	if at, looked := f.at(name); !looked || at.side != nil {
		return nil
	}
	side, err := s.objects.head(ctx, name+sidecar.Suffix)
	switch {
	case errors.Is(err, errRefused):
		return nil
	case err != nil:
		return err
	case side.of(mark.AssetID) && side.record.sidecar && side.record.Generation <= mark.Generation:
		return s.client.remove(ctx, side.name, side.etag)
	}
	return nil
}
