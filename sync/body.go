package sync

import (
	"context"
	"fmt"
	"io"

	"damsync/cmp"
)

// body is the content of a placement, which a target may want to read more than
// once.
type body struct {
	j     *placing
	ready *cmp.Download // opened beforehand and not yet asked for
}

// prepare opens the content before the target is asked for anything, so that
// what keeps it from being fetched leaves the target untouched, and tells its
// size in bytes or dam.UnknownSize.
func (b *body) prepare(ctx context.Context) (int64, error) {
	d, err := b.j.open(ctx)
	if err != nil {
		return 0, asSource(err)
	}
	b.ready = d
	if b.j.w.ExpectedSize >= 0 {
		return b.j.w.ExpectedSize, nil
	}
	return d.Size, nil
}

// at opens the content at an offset. What comes before it is read and dropped.
func (b *body) at(ctx context.Context, offset int64) (io.ReadCloser, error) {
	d := b.ready
	b.ready = nil
	if d == nil {
		var err error
		if d, err = b.j.open(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := io.CopyN(io.Discard, d.Body, offset); err != nil {
		_ = d.Body.Close() // the error at hand says more
		return nil, fmt.Errorf("skip to byte %d: %w", offset, err)
	}
	return d.Body, nil
}

// close gives up what was opened and never asked for.
func (b *body) close() {
	if b.ready != nil {
		_ = b.ready.Body.Close() // nothing of it was read
	}
}
