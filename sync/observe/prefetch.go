package observe

import (
	"context"
	"time"

	"damsync/sync/walk"
)

// page is one step of a walk.
type page struct {
	span   walk.Span
	cursor walk.Cursor // below it
	readAt time.Time   // on the database's clock, before it was requested
	err    error
}

// pages are the steps of a walk in their order. One is fetched while the one before is written.
type pages chan page

// prefetch walks on from c in a goroutine of its own. stop ends it and waits for its end.
func (m *Mirror) prefetch(ctx context.Context, c walk.Cursor) (fetched pages, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	fetched = make(pages)
	go func() {
		defer close(fetched)
		for walker := (walk.Walker{Library: m.Source}); ; {
			p := m.fetch(ctx, walker, c)
			select {
			case fetched <- p:
			case <-ctx.Done():
				return
			}
			if p.err != nil || p.span.End {
				return
			}
			c = p.cursor
		}
	}()
	return fetched, func() {
		cancel()
		for range fetched { // pages that are no longer needed
		}
	}
}

func (m *Mirror) fetch(ctx context.Context, walker walk.Walker, c walk.Cursor) page {
	readAt, err := m.readTime(ctx)
	if err != nil {
		return page{err: err}
	}
	s, next, err := walker.Step(ctx, c)
	return page{span: s, cursor: next, readAt: readAt, err: err}
}

// next returns the next step.
func (p pages) next(ctx context.Context) (page, error) {
	got, ok := <-p
	if !ok {
		return got, context.Cause(ctx) // only the end of its context ends a walk silently
	}
	return got, got.err
}
