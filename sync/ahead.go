package sync

import (
	"context"
	"time"

	"damsync/sync/walk"
)

// reading is one step of a walk.
type reading struct {
	span   walk.Span
	cursor walk.Cursor // below it
	readAt time.Time   // on the database's clock, before it was asked for
	err    error
}

// readings are the steps of a walk in their order, one of them read while the one before
// is written.
type readings chan reading

// readAhead walks on from c in a goroutine of its own; stop ends it and waits
// for its end.
func (e *Engine) readAhead(ctx context.Context, c walk.Cursor) (ahead readings, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ahead = make(readings)
	go func() {
		defer close(ahead)
		for walker := (walk.Walker{Library: e.lib}); ; {
			r := e.read(ctx, walker, c)
			select {
			case ahead <- r:
			case <-ctx.Done():
				return
			}
			if r.err != nil || r.span.End {
				return
			}
			c = r.cursor
		}
	}()
	return ahead, func() {
		cancel()
		for range ahead { // what was read ahead is not wanted
		}
	}
}

func (e *Engine) read(ctx context.Context, walker walk.Walker, c walk.Cursor) reading {
	readAt, err := e.clockedReading(ctx)
	if err != nil {
		return reading{err: err}
	}
	s, next, err := walker.Step(ctx, c)
	return reading{span: s, cursor: next, readAt: readAt, err: err}
}

// next returns the next step.
func (r readings) next(ctx context.Context) (reading, error) {
	step, ok := <-r
	if !ok {
		return step, context.Cause(ctx) // only its end stops a walk without a word
	}
	return step, step.err
}
