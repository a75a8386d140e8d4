package dam

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/rs/zerolog"
)

// Logging writes one line at debug for each call that goes to next, of a failure
// with its class. The error is passed on: what becomes of it, and whether a person
// has to know, is the caller's to decide and to record.
func Logging(next Adapter, log zerolog.Logger, target string) Adapter {
	return logging{next: next, log: log.With().Str("target", target).Logger()}
}

type logging struct {
	next Adapter
	log  zerolog.Logger
}

var _ Adapter = logging{}

func (l logging) Describe() Capabilities { return l.next.Describe() }

func (l logging) Check(ctx context.Context, populated bool) error {
	start := time.Now()
	err := l.next.Check(ctx, populated)
	l.line(start, err).Bool("populated", populated).Msg("target checked")
	return err
}

func (l logging) Find(ctx context.Context, key Key, hints []string) (Remote, error) {
	start := time.Now()
	r, err := l.next.Find(ctx, key, hints)
	l.remote(start, r, err).Str("asset_id", key.AssetID).Msg("object looked for")
	return r, err
}

// Abandon implements Abandoner.
func (l logging) Abandon(ctx context.Context, session []byte) { Abandon(ctx, l.next, session) }

func (l logging) Put(ctx context.Context, obj Object, current Remote) (Remote, error) {
	start := time.Now()
	r, err := l.next.Put(ctx, obj, current)
	l.write(start, obj.Mark, r, err).Str("wanted_path", obj.Path).Msg("object put")
	return r, err
}

func (l logging) SetMetadata(ctx context.Context, r Remote, mark Mark, title string, md Metadata) (Remote, error) {
	start := time.Now()
	now, err := l.next.SetMetadata(ctx, r, mark, title, md)
	l.write(start, mark, now, err).Str("wanted_path", r.Path).Msg("metadata set")
	return now, err
}

func (l logging) Move(ctx context.Context, r Remote, mark Mark, path string) (Remote, error) {
	start := time.Now()
	now, err := l.next.Move(ctx, r, mark, path)
	l.write(start, mark, now, err).Str("from", r.Path).Str("wanted_path", path).Msg("object moved")
	return now, err
}

func (l logging) Retire(ctx context.Context, r Remote, mark Mark, mode RetireMode) (Remote, error) {
	start := time.Now()
	now, err := l.next.Retire(ctx, r, mark, mode)
	l.write(start, mark, now, err).Str("from", r.Path).Str("mode", string(mode)).Msg("object retired")
	return now, err
}

func (l logging) List(ctx context.Context) iter.Seq2[Remote, error] {
	return func(yield func(Remote, error) bool) {
		start, n := time.Now(), 0
		var failure error
		for r, err := range l.next.List(ctx) {
			if failure = err; err == nil {
				n++
			}
			if !yield(r, err) {
				break
			}
		}
		l.line(start, failure).Int("objects", n).Msg("target listed")
	}
}

func (l logging) ReadBack(ctx context.Context, r Remote) (io.ReadCloser, error) {
	start := time.Now()
	body, err := ReadBack(ctx, l.next, r)
	l.remote(start, r, err).Str("asset_id", r.Mark.AssetID).Msg("object opened to read back")
	return body, err
}

func (l logging) write(start time.Time, mark Mark, r Remote, err error) *zerolog.Event {
	return l.remote(start, r, err).
		Str("asset_id", mark.AssetID).Int64("generation", mark.Generation)
}

func (l logging) remote(start time.Time, r Remote, err error) *zerolog.Event {
	e := l.line(start, err)
	if err == nil {
		e = e.Str("path", r.Path).Str("state", string(r.State))
	}
	return e
}

func (l logging) line(start time.Time, err error) *zerolog.Event {
	e := l.log.Debug()
	if err != nil {
		e = e.Err(err).Str("class", string(Classify(err)))
	}
	return e.Dur("duration_ms", time.Since(start))
}
