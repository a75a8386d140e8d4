package sync

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/state"
)

// body is the content of a placement, which a target may want to read more than
// once, and go on with where an earlier upload broke off.
type body struct {
	j     *placing
	ready *cmp.Download // opened beforehand and not yet asked for
	size  int64         // bytes, or dam.UnknownSize
	etag  string        // of the content that the upload's session is about; empty when unknown
}

// prepare opens the content before the target is asked for anything, so that
// what keeps it from being fetched leaves the target untouched, and learns its
// size.
func (b *body) prepare(ctx context.Context) error {
	d, err := b.j.open(ctx, 0)
	if err != nil {
		return asSource(err)
	}
	b.ready, b.size, b.etag = d, d.Size, b.j.w.Upload.ETag
	if b.j.w.ExpectedSize >= 0 {
		b.size = b.j.w.ExpectedSize
	}
	return nil
}

// at opens the content at an offset. dam.ErrCheckpoint: the host says that it is
// other content than that which comes before it.
func (b *body) at(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if offset > 0 && offset == b.size {
		return io.NopCloser(strings.NewReader("")), nil // the checkpoint has seen it all
	}
	d, err := b.take(ctx, offset)
	if err != nil {
		return nil, err
	}
	now := etagOf(d)
	if offset > 0 && b.etag != "" && now != "" && now != b.etag {
		_ = d.Body.Close() // nothing of it is wanted
		return nil, fmt.Errorf("%w: the content has changed", dam.ErrCheckpoint)
	}
	if offset == 0 {
		b.etag = now
	}
	return d.Body, nil
}

func (b *body) take(ctx context.Context, offset int64) (*cmp.Download, error) {
	if d := b.ready; d != nil && offset == 0 {
		b.ready = nil
		return d, nil
	}
	b.close()
	return b.j.open(ctx, offset)
}

// upload lets the adapter keep where it stands with the version, for whoever goes on with it.
func (b *body) upload(version string) dam.Upload {
	return dam.Upload{Session: b.j.w.Upload.Session, Save: func(ctx context.Context, session []byte) error {
		return b.j.p.e.store.SaveUpload(ctx, b.j.w, state.Upload{Session: session, Version: version, ETag: b.etag})
	}}
}

// close gives up what was opened and never asked for.
func (b *body) close() {
	if b.ready != nil {
		_ = b.ready.Body.Close() // nothing of it was read
		b.ready = nil
	}
}

// etagOf is the ETag of a download as far as it can be kept.
func etagOf(d *cmp.Download) string {
	if len(d.ETag) > 256 || !utf8.ValidString(d.ETag) {
		return ""
	}
	return d.ETag
}
