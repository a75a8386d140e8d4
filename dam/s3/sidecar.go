package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"damsync/dam"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// settle does what is left of a step once the object is in its place: writes or
// removes the sidecar, and leaves the old places. Repeating the step does it
// again.
func (a *Adapter) settle(ctx context.Context, now place, r record, f found) (dam.Remote, error) {
	if r.overflow != "" {
		side, err := a.writeSidecar(ctx, now, r)
		if err != nil {
			return dam.Remote{}, err
		}
		now.side = &side
	} else if now.side != nil && now.side.of(r.AssetID) {
		if err := a.remove(ctx, *now.side); err != nil {
			return dam.Remote{}, err
		}
	}
	now.record = r
	return now.remote(), a.leave(ctx, f.others(now.name))
}

// sidecarRoom looks whether r can have its sidecar beside dst, before anything is sent
// there: otherwise all of it would be sent again with each try.
func (a *Adapter) sidecarRoom(ctx context.Context, dst place, r record) (place, error) {
	if r.overflow == "" {
		return dst, nil
	}
	if dst.side == nil {
		side, err := a.head(ctx, a.sidecarKey(dst.name))
		if err != nil {
			return dst, err
		}
		dst.side = &side
	}
	return dst, dst.side.replaceable()
}

// replaceable reports whether a sidecar may be written there: over nothing, or over one of
// ours. Whose it was does not matter: the object beside it is the caller's, and a sidecar is
// of nobody without its object.
func (p place) replaceable() error {
	if p.exists && !(p.ours && p.record.sidecar) {
		return fmt.Errorf("%s: %w", p.name, dam.ErrForeign)
	}
	return nil
}

// removeLoneSidecar removes what an asset left beside a place that its object is gone from,
// removed by somebody who did not know of it, or from where it says that it needs none.
func (a *Adapter) removeLoneSidecar(ctx context.Context, f found, mark dam.Mark, name string) error {
	if at, looked := f.at(name); !looked || at.side != nil {
		return nil
	}
	side, err := a.head(ctx, a.sidecarKey(name))
	switch {
	case errors.Is(err, errRefused):
		return nil
	case err != nil:
		return err
	case side.of(mark.AssetID) && side.record.sidecar && side.record.Generation <= mark.Generation:
		return a.removeOne(ctx, side)
	}
	return nil
}

// writeSidecar replaces none but ours.
func (a *Adapter) writeSidecar(ctx context.Context, now place, r record) (place, error) {
	side := place{name: now.name + sidecar.Suffix}
	if now.side != nil {
		side = *now.side
	}
	r.sidecar, r.from = true, ""
	for range attempts {
		if err := side.replaceable(); err != nil {
			return side, err
		}
		if side.of(r.AssetID) && side.record.Generation > r.Generation {
			return side, fmt.Errorf("sidecar of generation %d after %d: %w", r.Generation, side.record.Generation, dam.ErrStale)
		}
		err := a.putSidecar(ctx, side, r)
		if err == nil {
			side.exists, side.ours, side.record = true, true, r
			return side, nil
		}
		if !isChanged(err) {
			return side, classed(ctx, "write sidecar of "+now.name, err)
		}
		if side, err = a.head(ctx, a.sidecarKey(now.name)); err != nil {
			return side, err
		}
	}
	return side, fmt.Errorf("write sidecar of %s: %w: %w", now.name, dam.ErrTemporary, errChanged)
}

func (a *Adapter) putSidecar(ctx context.Context, side place, r record) error {
	body, err := r.Encode()
	if err != nil {
		return err
	}
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	md, ok := r.userMetadata()
	if !ok {
		return fmt.Errorf("mark of asset %s: %w: more than the %d bytes of user metadata",
			r.AssetID, dam.ErrInvalid, maxUserMetadata)
	}
	c := a.condition(side)
	_, err = api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.bucket, Key: aws.String(a.key(side.name)), Body: bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))), ContentType: aws.String("application/json"), Metadata: md,
		IfMatch: c.ifMatch, IfNoneMatch: c.ifNoneMatch,
		ServerSideEncryption: a.sse, SSEKMSKeyId: optional(a.kmsKeyID),
	})
	return err
}

// load gives the whole record of an object, from its sidecar where it has one.
func (a *Adapter) load(ctx context.Context, at place) (record, error) {
	r := at.record
	if r.overflow == "" {
		return r, nil
	}
	if !at.described() {
		return r, fmt.Errorf("%w: its sidecar is of another step", dam.ErrNotFound)
	}
	body, err := a.get(ctx, *at.side)
	if err != nil {
		return r, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, sidecar.MaxBytes+1))
	if err != nil {
		return r, fmt.Errorf("read sidecar of %s: %w: %w", at.name, dam.ErrTemporary, err)
	}
	whole, err := sidecar.Decode(raw)
	if err != nil {
		return r, fmt.Errorf("read sidecar of %s: %w: %w", at.name, dam.ErrNotFound, err)
	}
	r.Title, r.Metadata = whole.Title, whole.Metadata
	return r, nil
}

// leave removes the asset's objects from places that it has left.
func (a *Adapter) leave(ctx context.Context, places []place) error {
	for _, p := range places {
		if err := a.remove(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object as it was looked at, its sidecar before it: without
// sidecar it is incomplete, which is seen; a sidecar alone would not be. In a
// bucket with versions a delete marker comes over it.
func (a *Adapter) remove(ctx context.Context, p place) error {
	if p.side != nil && p.side.of(p.record.AssetID) {
		if err := a.removeOne(ctx, *p.side); err != nil {
			return err
		}
	}
	return a.removeOne(ctx, p)
}

func (a *Adapter) removeOne(ctx context.Context, p place) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	c := condition{}
	if a.conditional {
		c.ifMatch = optional(p.etag)
	}
	_, err = api.DeleteObject(ctx, &s3.DeleteObjectInput{
		Bucket: &a.bucket, Key: aws.String(a.key(p.name)), IfMatch: c.ifMatch,
	})
	if err == nil || isMissing(err) {
		return nil
	}
	return afterWrite(ctx, "remove "+p.name, err)
}
