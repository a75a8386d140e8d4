package push

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

// body is the content of a placement. A target may read it more than once, and resume an interrupted upload at an
// offset.
type body struct {
	p     *Pusher
	w     state.Work
	ready *cmp.Download // opened beforehand and not yet read
	size  int64         // bytes, or dam.UnknownSize
	etag  string        // of the content in the upload's session; empty when unknown
}

// prepare opens the content and determines its size before any call to the target, so that a failing download leaves the
// target untouched.
func (b *body) prepare(ctx context.Context) error {
	d, err := b.open(ctx, 0)
	if err != nil {
		return asSource(err)
	}
	b.ready, b.size, b.etag = d, d.Size, b.w.Upload.ETag
	if b.w.ExpectedSize >= 0 {
		b.size = b.w.ExpectedSize
	}
	return nil
}

// at opens the content at an offset. It returns dam.ErrCheckpoint when the ETag shows that the content is not the one whose
// first part was uploaded.
func (b *body) at(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if offset > 0 && offset == b.size {
		return io.NopCloser(strings.NewReader("")), nil // the checkpoint is at the end
	}
	d, err := b.take(ctx, offset)
	if err != nil {
		return nil, err
	}
	now := etagOf(d)
	if offset > 0 && b.etag != "" && now != "" && now != b.etag {
		_ = d.Body.Close() // not read
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
	return b.open(ctx, offset)
}

// upload lets the adapter save the state of an upload of version, so that another attempt can resume it.
func (b *body) upload(version string) dam.Upload {
	return dam.Upload{Session: b.w.Upload.Session, Save: func(ctx context.Context, session []byte) error {
		return b.p.Store.SaveUpload(ctx, b.w, state.Upload{Session: session, Version: version, ETag: b.etag})
	}}
}

// close closes a download that was opened and not read.
func (b *body) close() {
	if b.ready != nil {
		_ = b.ready.Body.Close() // not read
		b.ready = nil
	}
}

// etagOf returns the ETag of a download, or an empty string when it cannot be stored.
func etagOf(d *cmp.Download) string {
	if len(d.ETag) > 256 || !utf8.ValidString(d.ETag) {
		return ""
	}
	return d.ETag
}

func (b *body) open(ctx context.Context, offset int64) (*cmp.Download, error) {
	return b.p.Source.Open(ctx, b.w.Class, b.w.AssetID, offset)
}
